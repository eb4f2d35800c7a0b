//! OpenTelemetry's variables, as far as the SDK does not read them itself.

use crate::{Error, Sampling};

/// What the variables say.
#[derive(Debug)]
pub(crate) struct Environment {
    is_disabled: bool,
    /// None: `OTEL_TRACES_EXPORTER` is not set.
    traces: Option<bool>,
    has_endpoint: bool,
    metrics: Option<String>,
    /// How many records may wait to be sent.
    pub(crate) most_records: usize,
    pub(crate) sampling: Sampling,
}

impl Environment {
    /// What they say, or everything that is wrong with them.
    pub(crate) fn read() -> Result<Self, Vec<Error>> {
        Self::of(|name| std::env::var(name).ok())
    }

    /// An empty variable is as good as none (specification, "Parsing empty value").
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<Error>> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let exporter = exporter(get("OTEL_TRACES_EXPORTER"));
        let sampling = sampling(get("OTEL_TRACES_SAMPLER"), get("OTEL_TRACES_SAMPLER_ARG").as_deref());
        let mut wrong: Vec<Error> = PROTOCOLS
            .into_iter()
            .filter_map(|variable| {
                let value = get(variable).filter(|value| value != "grpc")?;
                let why = "only grpc is spoken here; a collector takes it on port 4317";
                Some(Error::Variable { variable, value, why })
            })
            .collect();
        let endpoints = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        match (exporter, sampling) {
            (Ok(traces), Ok(sampling)) if wrong.is_empty() => Ok(Self {
                // Anything but "true" is false (specification, "Boolean value").
                is_disabled: get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")),
                traces,
                has_endpoint: endpoints.into_iter().any(|name| get(name).is_some()),
                metrics: get("OTEL_METRICS_EXPORTER"),
                // What is no number is the default (specification, "Numeric value"); so does the SDK.
                most_records: get("OTEL_BLRP_MAX_QUEUE_SIZE")
                    .and_then(|value| value.parse().ok())
                    .filter(|most| *most > 0)
                    .unwrap_or(2048),
                sampling,
            }),
            (exporter, sampling) => {
                wrong.extend([exporter.err(), sampling.err()].into_iter().flatten());
                Err(wrong)
            }
        }
    }

    /// Traces are sent where it is said where to, or that they are to be.
    pub(crate) fn sends_traces(&self, endpoint: Option<&str>) -> bool {
        !self.is_disabled && self.traces.unwrap_or(self.has_endpoint || endpoint.is_some())
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        match self.metrics.as_deref() {
            None | Some("none" | "prometheus") => Vec::new(),
            Some(other) => {
                vec![format!("OTEL_METRICS_EXPORTER={other}: metrics are not sent, but scraped at /metrics")]
            }
        }
    }
}

const PROTOCOLS: [&str; 3] =
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"];

/// Whether traces are to be sent, if that is said.
fn exporter(value: Option<String>) -> Result<Option<bool>, Error> {
    match value.as_deref() {
        None => Ok(None),
        Some("otlp") => Ok(Some(true)),
        Some("none") => Ok(Some(false)),
        Some(_) => {
            let (variable, value) = ("OTEL_TRACES_EXPORTER", value.unwrap_or_default());
            Err(Error::Variable { variable, value, why: "must be otlp or none" })
        }
    }
}

fn sampling(sampler: Option<String>, argument: Option<&str>) -> Result<Sampling, Error> {
    let ratio = || match argument.map(str::parse::<f64>) {
        None => Ok(1.0),
        Some(Ok(ratio)) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        Some(_) => Err(Error::Variable {
            variable: "OTEL_TRACES_SAMPLER_ARG",
            value: argument.unwrap_or_default().to_owned(),
            why: "must be a number from 0 to 1",
        }),
    };
    Ok(match sampler.as_deref() {
        // The specification's default.
        None | Some("parentbased_always_on") => Sampling::parent_based(1.0),
        Some("parentbased_always_off") => Sampling::parent_based(0.0),
        Some("parentbased_traceidratio") => Sampling::parent_based(ratio()?),
        Some("always_on") => Sampling::whatever_the_parent(1.0),
        Some("always_off") => Sampling::whatever_the_parent(0.0),
        Some("traceidratio") => Sampling::whatever_the_parent(ratio()?),
        Some(_) => {
            return Err(Error::Variable {
                variable: "OTEL_TRACES_SAMPLER",
                value: sampler.unwrap_or_default(),
                why: "must be always_on, always_off or traceidratio, or one of these after parentbased_",
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Environment, Vec<Error>> {
        Environment::of(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn when_traces_are_sent() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        for (variables, flag, sends) in [
            (&[][..], None, false),
            (&[], Some("http://127.0.0.1:4317"), true),
            (&[endpoint], None, true),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], None, false),
            (&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4317")], None, true),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], None, true),
            (&[("OTEL_TRACES_EXPORTER", "none"), endpoint], Some("http://127.0.0.1:4317"), false),
            (&[("OTEL_SDK_DISABLED", "TRUE"), endpoint], None, false),
            (&[("OTEL_SDK_DISABLED", "1"), endpoint], None, true),
        ] {
            assert_eq!(read(variables).unwrap().sends_traces(flag), sends, "{variables:?} {flag:?}");
        }
    }

    #[test]
    fn samplers() {
        for (sampler, argument, sampling) in [
            ("", "", Sampling::parent_based(1.0)),
            ("parentbased_traceidratio", "0.25", Sampling::parent_based(0.25)),
            ("parentbased_always_off", "", Sampling::parent_based(0.0)),
            ("traceidratio", "", Sampling::whatever_the_parent(1.0)),
            ("always_off", "", Sampling::whatever_the_parent(0.0)),
        ] {
            let variables = [("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)];
            assert_eq!(read(&variables).unwrap().sampling, sampling, "{sampler} {argument}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (variables, named) in [
            (&[("OTEL_TRACES_EXPORTER", "zipkin")][..], "OTEL_TRACES_EXPORTER=zipkin"),
            (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], "only grpc"),
            (&[("OTEL_TRACES_SAMPLER", "jaeger_remote")], "OTEL_TRACES_SAMPLER=jaeger_remote"),
            (&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")], "from 0 to 1"),
        ] {
            let told = read(variables).unwrap_err();
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].to_string().contains(named), "{told:?}");
        }
        // All at once.
        let variables = ["OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_TRACES_SAMPLER"]
            .map(|name| (name, "x"));
        assert_eq!(read(&variables).unwrap_err().len(), 3);
        assert_eq!(read(&[("OTEL_METRICS_EXPORTER", "otlp")]).unwrap().warnings().len(), 1);
    }
}
