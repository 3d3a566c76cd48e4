//! What many tasks ask at one moment, answered in one round.
//!
//! A round is on its way at any time; whoever asks meanwhile goes with the next one. So a question that comes alone waits
//! for nobody, and a crowd costs as many rounds as there is time for.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use rpc::{Code, Fault};
use tokio::sync::{mpsc, oneshot};

/// Questions in one round.
const MOST: usize = 256;

/// The way to the answers of one kind of question.
pub(crate) struct Together<Q, A>(mpsc::UnboundedSender<Asked<Q, A>>);

type Asked<Q, A> = (Q, oneshot::Sender<Result<A, Fault>>);

impl<Q: Clone + Send + Sync + 'static, A: Send + 'static> Together<Q, A> {
    /// `round` answers as many as it is asked, in their order.
    pub(crate) fn new<R, F>(round: R) -> Self
    where
        R: Fn(Arc<[Q]>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Vec<A>, Fault>> + Send + 'static,
    {
        Self::grouped(|_| (), round)
    }

    /// The same with a round for each group of questions, all at a time: what one group meets is not the others' matter.
    pub(crate) fn grouped<K, R, F>(group_of: impl Fn(&Q) -> K + Send + Sync + 'static, round: R) -> Self
    where
        K: Ord + Send + Sync + 'static,
        R: Fn(Arc<[Q]>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Vec<A>, Fault>> + Send + 'static,
    {
        let (asked, mut waiting) = mpsc::unbounded_channel::<Asked<Q, A>>();
        tokio::spawn(async move {
            let mut next = Vec::new();
            while waiting.recv_many(&mut next, MOST).await > 0 {
                let mut groups = BTreeMap::<K, (Vec<Q>, Vec<_>)>::new();
                for (question, caller) in next.drain(..) {
                    let group = groups.entry(group_of(&question)).or_default();
                    group.0.push(question);
                    group.1.push(caller);
                }
                let (questions, callers): (Vec<_>, Vec<_>) = groups.into_values().unzip();
                let answered = join_all(questions.into_iter().map(|some| answers(&round, some.into()))).await;
                for (caller, answer) in callers.into_iter().flatten().zip(answered.into_iter().flatten()) {
                    // Whoever has gone meanwhile needs no answer.
                    let _ = caller.send(answer);
                }
            }
        });
        Self(asked)
    }

    /// The answer to one question.
    ///
    /// # Errors
    /// What the round came to, asked for this question alone.
    pub(crate) async fn ask(&self, question: Q) -> Result<A, Fault> {
        let (caller, answer) = oneshot::channel();
        self.0.send((question, caller)).map_err(Fault::internal)?;
        answer.await.map_err(Fault::internal)?
    }
}

async fn answers<Q, A, R, F>(round: &R, questions: Arc<[Q]>) -> Vec<Result<A, Fault>>
where
    Q: Clone,
    A: Send + 'static,
    R: Fn(Arc<[Q]>) -> F,
    F: Future<Output = Result<Vec<A>, Fault>> + Send + 'static,
{
    match by_itself(round(questions.clone())).await {
        Ok(all) => all.into_iter().map(Ok).collect(),
        // One of them may be what cannot be read: now each is asked alone.
        Err(fault) if fault.code == Code::Internal && questions.len() > 1 => {
            join_all(questions.iter().map(async |one| {
                let all = by_itself(round(Arc::from([one.clone()]))).await?;
                all.into_iter().next().ok_or_else(|| Fault::internal("a question had no answer"))
            }))
            .await
        }
        Err(fault) => questions.iter().map(|_| Err(fault.clone())).collect(),
    }
}

/// In a task of its own: one round that panics ends no other.
async fn by_itself<A: Send + 'static>(
    round: impl Future<Output = Result<Vec<A>, Fault>> + Send + 'static,
) -> Result<Vec<A>, Fault> {
    tokio::spawn(round).await.map_err(Fault::internal)?
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    /// Doubles numbers, one round for each permit; 13 cannot be had, and 14 is the end of whoever tries.
    fn doubling(permits: &Arc<Semaphore>, rounds: &Arc<Mutex<Vec<usize>>>) -> Arc<Together<u32, u32>> {
        let (permits, rounds) = (permits.clone(), rounds.clone());
        Arc::new(Together::new(move |numbers: Arc<[u32]>| {
            let (permits, rounds) = (permits.clone(), rounds.clone());
            async move {
                permits.acquire().await.map_err(Fault::internal)?.forget();
                rounds.lock().map_err(Fault::internal)?.push(numbers.len());
                assert!(!numbers.contains(&14));
                if numbers.contains(&13) {
                    return Err(Fault::internal("not this one"));
                }
                Ok(numbers.iter().map(|number| number * 2).collect())
            }
        }))
    }

    async fn asked(
        together: &Arc<Together<u32, u32>>,
        numbers: &[u32],
    ) -> Vec<tokio::task::JoinHandle<Result<u32, Fault>>> {
        let mut tasks = vec![];
        for &number in numbers {
            let asker = together.clone();
            tasks.push(tokio::spawn(async move { asker.ask(number).await }));
            // The task has asked when it waits.
            tokio::task::yield_now().await;
        }
        tasks
    }

    #[tokio::test]
    async fn whoever_asks_while_a_round_is_on_its_way_goes_with_the_next() {
        let (permits, rounds) = (Arc::new(Semaphore::new(0)), Arc::default());
        let together = doubling(&permits, &rounds);
        let tasks = asked(&together, &[1, 2, 3, 4]).await;
        permits.add_permits(2);
        let answers = join_all(tasks).await.into_iter().map(|one| one.unwrap().unwrap()).collect::<Vec<_>>();
        assert_eq!(answers, [2, 4, 6, 8], "each its own");
        assert_eq!(*rounds.lock().unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn one_that_fails_or_panics_takes_nobody_with_it() {
        let (permits, rounds) = (Arc::new(Semaphore::new(0)), Arc::default());
        let together = doubling(&permits, &rounds);
        let tasks = asked(&together, &[1, 13, 14, 5]).await;
        permits.add_permits(100);
        let answers = join_all(tasks).await.into_iter().map(|one| one.unwrap().map_err(|fault| fault.code));
        assert_eq!(answers.collect::<Vec<_>>(), [Ok(2), Err(Code::Internal), Err(Code::Internal), Ok(10)]);
        assert_eq!(together.ask(7).await, Ok(14), "and the next round goes on");
    }

    #[tokio::test]
    async fn what_one_group_meets_is_not_the_others_matter() {
        let rounds = Arc::<Mutex<Vec<usize>>>::default();
        let seen = rounds.clone();
        let together = Arc::new(Together::grouped(
            |number: &u32| number / 10,
            move |numbers: Arc<[u32]>| {
                seen.lock().unwrap().push(numbers.len());
                let down = numbers[0] / 10 == 1;
                let answer = if down { Err(Fault::new(Code::Unavailable, "down")) } else { Ok(numbers.to_vec()) };
                std::future::ready(answer)
            },
        ));
        let answers = join_all([1, 11, 2, 12, 3].map(|number| together.ask(number))).await;
        let answers: Vec<_> = answers.into_iter().map(|one| one.map_err(|fault| fault.code)).collect();
        assert_eq!(answers, [Ok(1), Err(Code::Unavailable), Ok(2), Err(Code::Unavailable), Ok(3)]);
        assert!(rounds.lock().unwrap().len() <= 3, "who is down is not asked again for each");
    }
}
