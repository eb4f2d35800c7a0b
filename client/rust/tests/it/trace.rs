//! Trace context that is passed on.

use std::sync::{Arc, Mutex};

use gavel_client::balanced::CallOptions;
use gavel_client::trace::{Attempt, Tracer};
use gavel_client::{Client, TraceContext, v1 as pb};
use tonic::Code;

use crate::balanced::{DEADLINE, client};
use crate::fake::{Behaviour, Fake};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn as_it_is() {
    let fake = Fake::start("fake");
    let context = TraceContext::new(PARENT, "vendor=1").unwrap();
    let one = Client::connect(&fake.address.to_string()).await.unwrap();
    one.admit(pb::AdmitRequest::default()).await.unwrap();
    assert_eq!(fake.metadata("traceparent"), None);
    one.with_trace_context(context.clone()).admit(pb::AdmitRequest::default()).await.unwrap();
    assert_eq!(fake.metadata("traceparent").unwrap(), PARENT);
    assert_eq!(fake.metadata("tracestate").unwrap(), "vendor=1");
    let all = client(&[&fake]).await;
    let options = CallOptions { deadline: DEADLINE, tracer: Some(Arc::new(context)) };
    all.check_flow(pb::CheckFlowRequest::default(), options).await.unwrap();
    assert_eq!(fake.metadata("traceparent").unwrap(), PARENT);
}

/// Each attempt has a context of its own, and is told how it ended.
#[derive(Debug, Default)]
struct Told(Arc<Mutex<Vec<(String, Code, String)>>>);

struct Attempted {
    address: String,
    number: usize,
    told: Arc<Mutex<Vec<(String, Code, String)>>>,
}

impl Tracer for Told {
    fn attempt(&self, address: &str) -> Box<dyn Attempt> {
        let number = self.0.lock().unwrap().len() + 1;
        Box::new(Attempted { address: address.to_owned(), number, told: self.0.clone() })
    }
}

impl Attempt for Attempted {
    fn context(&self) -> Option<TraceContext> {
        TraceContext::new(&format!("00-0af7651916cd43dd8448eb211c80319c-{:016x}-00", self.number), "")
    }

    fn ended(&mut self, code: Code, why: &str) {
        self.told.lock().unwrap().push((self.address.clone(), code, why.to_owned()));
    }
}

#[tokio::test]
async fn attempt_by_attempt() {
    let (one, two) = (Fake::start("one"), Fake::start("two"));
    let all = client(&[&one, &two]).await;
    one.behave(Behaviour::Fail(Code::Unavailable));
    let told = Arc::new(Told::default());
    for _ in 0..2 {
        let options = CallOptions { deadline: DEADLINE, tracer: Some(told.clone()) };
        all.admit(pb::AdmitRequest::default(), options).await.unwrap();
    }
    let told = told.0.lock().unwrap().clone();
    let failed = told.iter().position(|(_, code, _)| *code == Code::Unavailable).unwrap();
    assert_eq!(told[failed].0, one.address.to_string());
    assert!(told[failed].2.contains("one was told to fail"), "{told:?}");
    assert_eq!(
        (told.len(), told.iter().filter(|(_, code, _)| *code == Code::Ok).count()),
        (3, 2),
        "{told:?}"
    );
    assert!(one.metadata("traceparent").unwrap().ends_with(&format!("-{:016x}-00", failed + 1)));
}
