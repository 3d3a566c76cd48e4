//! A batcher: calls of many tasks answered in one batch.
//!
//! At most one batch runs at a time, and calls that come meanwhile go with the next one. So a single call waits for
//! nobody, and many calls cost as many batches as there is time for.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use rpc::{Code, Fault};
use tokio::sync::{mpsc, oneshot};

/// Calls of one batch.
const BATCH_MAX: usize = 256;

/// A batcher of calls with an argument `Q` and an answer `A`.
pub(crate) struct Batcher<Q, A>(mpsc::UnboundedSender<Call<Q, A>>);

type Call<Q, A> = (Q, oneshot::Sender<Result<A, Fault>>);

impl<Q: Clone + Send + Sync + 'static, A: Send + 'static> Batcher<Q, A> {
    /// `run` answers a batch, one answer for each argument in their order.
    pub(crate) fn new<R, F>(run: R) -> Self
    where
        R: Fn(Arc<[Q]>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Vec<A>, Fault>> + Send + 'static,
    {
        Self::grouped(|_| (), run)
    }

    /// The same with a batch for each group of arguments, all at a time: the failure of one group is not the others'.
    pub(crate) fn grouped<K, R, F>(group_of: impl Fn(&Q) -> K + Send + Sync + 'static, run: R) -> Self
    where
        K: Ord + Send + Sync + 'static,
        R: Fn(Arc<[Q]>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Vec<A>, Fault>> + Send + 'static,
    {
        let (calls, mut waiting) = mpsc::unbounded_channel::<Call<Q, A>>();
        tokio::spawn(async move {
            let mut next = Vec::new();
            while waiting.recv_many(&mut next, BATCH_MAX).await > 0 {
                let mut groups = BTreeMap::<K, (Vec<Q>, Vec<_>)>::new();
                for (argument, caller) in next.drain(..) {
                    let group = groups.entry(group_of(&argument)).or_default();
                    group.0.push(argument);
                    group.1.push(caller);
                }
                let (batches, callers): (Vec<_>, Vec<_>) = groups.into_values().unzip();
                let answers = join_all(batches.into_iter().map(|batch| answers(&run, batch.into()))).await;
                for (caller, answer) in callers.into_iter().flatten().zip(answers.into_iter().flatten()) {
                    // A caller that is gone needs no answer.
                    let _ = caller.send(answer);
                }
            }
        });
        Self(calls)
    }

    /// The answer to one call.
    ///
    /// # Errors
    /// That of its batch, or of the call alone after an internal failure of its batch.
    pub(crate) async fn call(&self, argument: Q) -> Result<A, Fault> {
        let (caller, answer) = oneshot::channel();
        self.0.send((argument, caller)).map_err(Fault::internal)?;
        answer.await.map_err(Fault::internal)?
    }
}

async fn answers<Q, A, R, F>(run: &R, batch: Arc<[Q]>) -> Vec<Result<A, Fault>>
where
    Q: Clone,
    A: Send + 'static,
    R: Fn(Arc<[Q]>) -> F,
    F: Future<Output = Result<Vec<A>, Fault>> + Send + 'static,
{
    match in_own_task(run(batch.clone())).await {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        // One argument may be unreadable: now each runs alone.
        Err(fault) if fault.code == Code::Internal && batch.len() > 1 => {
            join_all(batch.iter().map(async |argument| {
                let answers = in_own_task(run(Arc::from([argument.clone()]))).await?;
                answers.into_iter().next().ok_or_else(|| Fault::internal("a call had no answer"))
            }))
            .await
        }
        Err(fault) => batch.iter().map(|_| Err(fault.clone())).collect(),
    }
}

/// Runs a batch in a task of its own, so that a panic ends no other batch.
async fn in_own_task<A: Send + 'static>(
    batch: impl Future<Output = Result<Vec<A>, Fault>> + Send + 'static,
) -> Result<Vec<A>, Fault> {
    tokio::spawn(batch).await.map_err(Fault::internal)?
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles numbers, one batch for each permit; 13 cannot be had, and 14 is the end of whoever tries.
    fn doubling(permits: &Arc<Semaphore>, batches: &Arc<Mutex<Vec<usize>>>) -> Arc<Batcher<u32, u32>> {
        let (permits, batches) = (permits.clone(), batches.clone());
        Arc::new(Batcher::new(move |numbers: Arc<[u32]>| {
            let (permits, batches) = (permits.clone(), batches.clone());
            async move {
                permits.acquire().await.map_err(Fault::internal)?.forget();
                batches.lock().map_err(Fault::internal)?.push(numbers.len());
                assert!(!numbers.contains(&14));
                if numbers.contains(&13) {
                    return Err(Fault::internal("not this one"));
                }
                Ok(numbers.iter().map(|number| number * 2).collect())
            }
        }))
    }

    async fn calls(
        batcher: &Arc<Batcher<u32, u32>>,
        numbers: &[u32],
    ) -> Vec<tokio::task::JoinHandle<Result<u32, Fault>>> {
        let mut tasks = vec![];
        for &number in numbers {
            let caller = batcher.clone();
            tasks.push(tokio::spawn(async move { caller.call(number).await }));
            // The call is sent when the task yields.
            tokio::task::yield_now().await;
        }
        tasks
    }

    #[tokio::test]
    async fn calls_during_a_batch_go_with_the_next() {
        let (permits, batches) = (Arc::new(Semaphore::new(0)), Arc::default());
        let batcher = doubling(&permits, &batches);
        let tasks = calls(&batcher, &[1, 2, 3, 4]).await;
        permits.add_permits(2);
        let answers = join_all(tasks).await.into_iter().map(|one| one.unwrap().unwrap()).collect::<Vec<_>>();
        assert_eq!(answers, [2, 4, 6, 8], "each its own");
        assert_eq!(*batches.lock().unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn a_call_that_fails_or_panics_fails_no_other() {
        let (permits, batches) = (Arc::new(Semaphore::new(0)), Arc::default());
        let batcher = doubling(&permits, &batches);
        let tasks = calls(&batcher, &[1, 13, 14, 5]).await;
        permits.add_permits(100);
        let answers = join_all(tasks).await.into_iter().map(|one| one.unwrap().map_err(|fault| fault.code));
        assert_eq!(answers.collect::<Vec<_>>(), [Ok(2), Err(Code::Internal), Err(Code::Internal), Ok(10)]);
        assert_eq!(batcher.call(7).await, Ok(14), "and the next batch goes on");
    }

    #[tokio::test]
    async fn the_failure_of_one_group_is_not_the_others() {
        let batches = Arc::<Mutex<Vec<usize>>>::default();
        let seen = batches.clone();
        let batcher = Arc::new(Batcher::grouped(
            |number: &u32| number / 10,
            move |numbers: Arc<[u32]>| {
                seen.lock().unwrap().push(numbers.len());
                let down = numbers[0] / 10 == 1;
                let answer = if down { Err(Fault::new(Code::Unavailable, "down")) } else { Ok(numbers.to_vec()) };
                std::future::ready(answer)
            },
        ));
        let answers = join_all([1, 11, 2, 12, 3].map(|number| batcher.call(number))).await;
        let answers: Vec<_> = answers.into_iter().map(|one| one.map_err(|fault| fault.code)).collect();
        assert_eq!(answers, [Ok(1), Err(Code::Unavailable), Ok(2), Err(Code::Unavailable), Ok(3)]);
        assert!(batches.lock().unwrap().len() <= 3, "a group that is down runs once");
    }
}
