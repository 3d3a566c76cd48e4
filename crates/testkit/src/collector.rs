//! A small OpenTelemetry collector that records the spans it receives (OTLP over gRPC).

use std::{collections::BTreeMap, time::Duration};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1 as otlp,
};
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A span as it was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The parent's; `None` for a root.
    pub parent_id: Option<String>,
    /// The span's name.
    pub name: String,
    /// `service.name` of the process that made it.
    pub service: String,
    /// `server`, `client`, `internal`, `producer`, `consumer` or `unspecified`.
    pub kind: String,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// The whole exported span with its events and status, for assertions about forbidden data.
    pub dump: String,
}

/// The collector; dropping it closes its port.
#[derive(Debug)]
pub struct Collector {
    endpoint: String,
    spans: watch::Sender<Vec<Span>>,
    server: AbortHandle,
}

impl Collector {
    /// Starts it on a free port of the loopback address.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let spans = watch::Sender::new(Vec::new());
        let service = TraceServiceServer::new(Receiver(spans.clone()));
        let serving = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(serving).abort_handle();
        Self { endpoint: format!("http://{address}"), spans, server }
    }

    /// The value for `telemetry.otlp_endpoint`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.borrow().clone()
    }

    /// Waits until `found` returns a value for the spans so far; `None` after `timeout`. Exporters send batches every five
    /// seconds by default, and when the process ends.
    pub async fn wait_for<T>(&self, timeout: Duration, mut found: impl FnMut(&[Span]) -> Option<T>) -> Option<T> {
        let mut spans = self.spans.subscribe();
        let search = async {
            loop {
                if let Some(answer) = found(&spans.borrow_and_update()) {
                    return Some(answer);
                }
                spans.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, search).await.ok().flatten()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The spans from the one with this id up to its root, as far as `spans` has them.
pub fn ancestry<'a>(spans: &'a [Span], span_id: &str) -> Vec<&'a Span> {
    let mut chain: Vec<&Span> = Vec::new();
    let mut wanted = Some(span_id);
    while let Some(span) = wanted.and_then(|id| spans.iter().find(|span| span.span_id == id)) {
        if chain.iter().any(|seen| seen.span_id == span.span_id) {
            break;
        }
        chain.push(span);
        wanted = span.parent_id.as_deref();
    }
    chain
}

struct Receiver(watch::Sender<Vec<Span>>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let received: Vec<Span> = request.into_inner().resource_spans.into_iter().flat_map(of_one_process).collect();
        self.0.send_modify(|spans| spans.extend(received));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn of_one_process(from: otlp::ResourceSpans) -> impl Iterator<Item = Span> {
    let resource = attributes(&from.resource.unwrap_or_default().attributes);
    let service = resource.get("service.name").cloned().unwrap_or_default();
    from.scope_spans.into_iter().flat_map(|scope| scope.spans).map(move |span| Span {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        name: span.name.clone(),
        service: service.clone(),
        kind: span.kind().as_str_name().trim_start_matches("SPAN_KIND_").to_lowercase(),
        attributes: attributes(&span.attributes),
        dump: format!("{span:?}"),
    })
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    pairs.iter().map(|pair| (pair.key.clone(), pair.value.as_ref().map(text).unwrap_or_default())).collect()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        Some(any_value::Value::IntValue(value)) => value.to_string(),
        Some(any_value::Value::DoubleValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::trace_service_client::TraceServiceClient, resource::v1::Resource,
    };

    use super::*;

    fn pair(key: &str, value: &str) -> KeyValue {
        let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
        KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
    }

    fn span(id: u8, parent: &[u8], name: &str) -> otlp::Span {
        otlp::Span {
            trace_id: vec![7; 16],
            span_id: vec![id; 8],
            parent_span_id: parent.to_vec(),
            name: name.to_owned(),
            kind: otlp::span::SpanKind::Server.into(),
            attributes: vec![pair("http.route", "/v1/slots")],
            ..otlp::Span::default()
        }
    }

    #[tokio::test]
    async fn it_records_spans_with_their_parents() {
        let collector = Collector::start().await;
        let mut client = TraceServiceClient::connect(collector.endpoint().to_owned()).await.unwrap();
        let spans = vec![span(1, &[], "GET /v1/slots"), span(2, &[1; 8], "Search")];
        let sent = otlp::ResourceSpans {
            resource: Some(Resource {
                attributes: vec![pair("service.name", "meridian-gateway")],
                ..Resource::default()
            }),
            scope_spans: vec![otlp::ScopeSpans { spans, ..otlp::ScopeSpans::default() }],
            ..otlp::ResourceSpans::default()
        };
        client.export(ExportTraceServiceRequest { resource_spans: vec![sent] }).await.unwrap();
        let two = |spans: &[Span]| (spans.len() == 2).then(|| spans.to_vec());
        let spans = collector.wait_for(Duration::from_secs(10), two).await.unwrap();
        assert_eq!((spans[0].service.as_str(), spans[0].kind.as_str()), ("meridian-gateway", "server"));
        assert_eq!(spans[0].attributes["http.route"], "/v1/slots");
        let names: Vec<&str> = ancestry(&spans, &spans[1].span_id).iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["Search", "GET /v1/slots"]);
        let never: Option<()> = collector.wait_for(Duration::from_millis(10), |_| None).await;
        assert_eq!(never, None);
    }
}
