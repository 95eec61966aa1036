//! Kinds of Prometheus' operator, for tests that make objects of them.

/// Kind, plural and singular.
const KINDS: [[&str; 3]; 3] = [
    ["ServiceMonitor", "servicemonitors", "servicemonitor"],
    ["PodMonitor", "podmonitors", "podmonitor"],
    ["PrometheusRule", "prometheusrules", "prometheusrule"],
];

/// Manifests of ServiceMonitor, PodMonitor and PrometheusRule: their names, and nothing of their fields.
pub fn monitoring_kinds() -> String {
    let manifest = |[kind, plural, singular]: [&str; 3]| {
        format!(
            "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.monitoring.coreos.com}}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {{spec: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"
        )
    };
    KINDS.map(manifest).join("---")
}
