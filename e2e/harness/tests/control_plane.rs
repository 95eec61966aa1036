//! The control plane of a test's own: who may do what in it, and that it tells what it was asked.

use alluxio_e2e_harness::plane::write_kubeconfig;
use alluxio_e2e_harness::{ControlPlane, Identity, LIMIT, Namespace};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

#[tokio::test]
async fn users_may_do_what_their_roles_say_and_the_log_tells_it() {
    let plane = ControlPlane::start().await.unwrap();
    let admin = plane.client(&Identity::Admin).await.unwrap();
    let namespace = Namespace::create(&admin, &plane.kubeconfig(), "roles").await.unwrap();
    let name = namespace.name();
    plane.kubectl(&["create", "serviceaccount", "reader", "--namespace", name]).unwrap();
    namespace
        .apply(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
  - {kind: ServiceAccount, name: reader}
  - {kind: Group, name: readers, apiGroup: rbac.authorization.k8s.io}
",
        )
        .unwrap();
    let account = Identity::Account(name.to_owned(), "reader".to_owned());
    let user = Identity::User("anna".to_owned(), vec!["readers".to_owned()]);
    let stranger = Identity::User("otto".to_owned(), Vec::new());
    for (identity, may) in [(&account, true), (&user, true), (&stranger, false)] {
        let client = plane.client(identity).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), name);
        let listed = maps.list(&ListParams::default()).await;
        assert_eq!(listed.is_ok(), may, "{identity:?}: {listed:?}");
        let secrets: Api<Secret> = Api::namespaced(client, name);
        assert!(secrets.list(&ListParams::default()).await.is_err(), "{identity:?}");
    }

    let requests = plane.requests().unwrap();
    let of = |user: &str, verb: &str, resource: &str| {
        let found = requests.iter().filter(|request| {
            request.user == user && request.verb == verb && request.resource == resource
        });
        found.map(|request| request.code).collect::<Vec<_>>()
    };
    let account = format!("system:serviceaccount:{name}:reader");
    assert_eq!(of(&account, "list", "configmaps"), [200]);
    assert_eq!(of("anna", "list", "configmaps"), [200]);
    assert_eq!(of("otto", "list", "configmaps"), [403]);
    assert_eq!(of(&account, "list", "secrets"), [403]);
}

#[tokio::test]
async fn a_wait_that_is_in_vain_tells_what_there_is() {
    let plane = ControlPlane::start().await.unwrap();
    let admin = plane.client(&Identity::Admin).await.unwrap();
    let namespace = Namespace::create(&admin, &plane.kubeconfig(), "wait").await.unwrap();
    let maps: Api<ConfigMap> = namespace.api();
    let map = serde_json::from_value(json!({"metadata": {"name": "m"}, "data": {"k": "v"}}));
    maps.create(&PostParams::default(), &map.unwrap()).await.unwrap();
    let holds = |value: &'static str| {
        move |map: &ConfigMap| map.data.as_ref().is_some_and(|data| data["k"] == value)
    };
    namespace.wait("m", "the value", LIMIT, holds("v")).await.unwrap();
    let little = std::time::Duration::from_millis(300);
    let error = namespace.wait("m", "another value", little, holds("w")).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("another value") && error.contains(r#""k": "v""#), "{error}");
    assert!(error.contains(namespace.name()), "{error}");
    let error = namespace.wait("n", "it", little, holds("v")).await.unwrap_err();
    assert!(format!("{error:#}").contains("it does not exist"), "{error:#}");
}

#[tokio::test]
async fn controllers_run_when_asked_for() {
    let plane = ControlPlane::start_with_controllers().await.unwrap();
    let admin = plane.client(&Identity::Admin).await.unwrap();
    let namespace = Namespace::create(&admin, &plane.kubeconfig(), "controllers").await.unwrap();
    // Somebody makes the account that pods have unless they ask for another.
    namespace
        .wait("default", "to be made", LIMIT, |_: &k8s_openapi::api::core::v1::ServiceAccount| true)
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kubeconfig");
    let account = Identity::Account(namespace.name().to_owned(), "default".to_owned());
    write_kubeconfig(&plane.kubeconfig(), &account, &file).unwrap();
    let who = alluxio_e2e_kube::control_plane::kubectl(&file, &["auth", "whoami"]).unwrap();
    assert!(who.contains(&format!("system:serviceaccount:{}:default", namespace.name())), "{who}");
    // And somebody removes what is in a namespace that ends.
    namespace.end(LIMIT).await.unwrap();
}
