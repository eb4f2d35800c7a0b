//! Probes and metrics.

use crate::support::{FLOWS, Server, flow, get};

#[tokio::test]
async fn probes_and_metrics() {
    let server = Server::start(&[("flows.yaml", FLOWS)]).await;
    let mut client = server.client().await;
    client.check_flow(flow("friend", "web", 80)).await.unwrap();
    client.check_flow(flow("stranger", "web", 80)).await.unwrap();
    client.check_flow(flow("nobody", "web", 80)).await.unwrap_err();
    assert_eq!(get(server.running.admin, "/livez").await, (200, "ok\n".to_owned()));
    let (status, text) = get(server.running.admin, "/readyz").await;
    assert_eq!(status, 200);
    assert_eq!(text, "[+] serving\n[+] snapshot revision 1\n[+] source manifests synced\n");
    let (status, text) = get(server.running.admin, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        r#"gavel_decisions_total{rpc="CheckFlow",verdict="allow",policy_kind="network_policy"} 1"#,
        r#"gavel_decisions_total{rpc="CheckFlow",verdict="deny",policy_kind="network_policy"} 1"#,
        r#"gavel_decisions_total{rpc="CheckFlow",verdict="error",policy_kind="network_policy"} 1"#,
        r#"gavel_decision_duration_seconds_count{rpc="CheckFlow"} 3"#,
        r#"gavel_rpcs_total{rpc="CheckFlow",code="OK"} 2"#,
        r#"gavel_rpcs_total{rpc="CheckFlow",code="INVALID_ARGUMENT"} 1"#,
        r#"gavel_rpc_duration_seconds_count{rpc="CheckFlow"} 3"#,
        "gavel_snapshot_build_duration_seconds_count 1",
        "gavel_connections 1",
        "process_resident_memory_bytes ",
        "tokio_workers ",
        r#"gavel_rpcs_in_flight 0"#,
        "gavel_snapshot_revision 1",
        "gavel_source_up{source=\"manifests\"} 1",
        "gavel_source_errors{source=\"manifests\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(get(server.running.admin, "/nothing").await.0, 404);
    server.stop().await;
}
