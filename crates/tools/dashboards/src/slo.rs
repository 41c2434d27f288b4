//! Service-level objectives, and alerts on their burn rates.
//!
//! Each objective has an error budget over 30 days. An alert compares the burn rate over a long window, so that a short
//! disruption does not page anyone, and over a short window, so that the alert resolves as soon as the problem does.

use kennel_telemetry::metrics::{NO_METHOD, NO_ROUTE, SERVER_FAULT, names};

use crate::recorded::{self, MISSED, UP};
use crate::rules::{Alert, Group, Recording, Rule, Severity};
use crate::{Expr, Series, max, min, series, sum};

/// A service-level objective.
#[derive(Debug, Clone, Copy)]
pub struct Objective {
    /// Value of the label `slo`, and name of the runbook.
    pub name: &'static str,
    /// Error budget, from 0 to 1.
    pub budget: f64,
    /// Names of the alerts: the budget is spent within days, or within the month.
    alerts: [&'static str; 2],
    indicator: Indicator,
}

#[derive(Debug, Clone, Copy)]
enum Indicator {
    /// Error ratio of requests.
    Requests(fn(&Jobs, &str) -> Expr),
    /// Ratio of the time during which the expression is 1.
    Time(fn(&Jobs) -> Expr),
}

/// The services that a rule is for, by their label `job`.
#[derive(Debug, Clone)]
pub(crate) enum Jobs {
    /// This one.
    One(String),
    /// All but these.
    Others(Vec<String>),
}

impl Jobs {
    fn series(&self, name: &'static str) -> Series {
        match self {
            Self::One(job) => series(name).is("job", job),
            Self::Others(jobs) if jobs.is_empty() => series(name),
            Self::Others(jobs) => series(name).not_matches("job", &jobs.join("|")),
        }
    }

    /// The name of a group of rules.
    fn group(&self, name: &str) -> String {
        match self {
            Self::One(job) => format!("{name}-{job}"),
            Self::Others(_) => name.to_owned(),
        }
    }
}

/// Latency objective in seconds: until an HTTP response starts, or until a gRPC call ends. It has to be the bound of a
/// bucket.
pub const LATE_AFTER: f64 = 0.5;
/// An event that has been pending for longer than this, in seconds, is late.
pub const EVENT_LATE_AFTER: u32 = 30;
/// A consumer group with more unsettled events than this is lagging.
pub const BEHIND_BY: u32 = 1_000;
/// An event that is handled later than this after its creation, in seconds, is stale. It has to be the bound of a bucket.
pub const STALE_AFTER: f64 = 5.0;
/// HTTP statuses for failures of the service. 501 is not among them: like gRPC's `UNIMPLEMENTED`, it means that the
/// service never supports the operation.
pub const HTTP_FAILURES: &str = "50[02-9]|5[1-9].";

/// The objectives of services that declare none in `services.toml`.
pub const OBJECTIVES: [Objective; 4] = [
    Objective {
        name: "availability",
        budget: 0.001,
        alerts: ["AvailabilityBudgetBurnsFast", "AvailabilityBudgetBurns"],
        indicator: Indicator::Requests(failed),
    },
    Objective {
        name: "latency",
        budget: 0.01,
        alerts: ["LatencyBudgetBurnsFast", "LatencyBudgetBurns"],
        indicator: Indicator::Requests(late),
    },
    Objective {
        name: "outbox-age",
        budget: 0.01,
        alerts: ["OutboxAgeBudgetBurnsFast", "OutboxAgeBudgetBurns"],
        indicator: Indicator::Time(outbox_late),
    },
    Objective {
        name: "consumer-lag",
        budget: 0.01,
        alerts: ["ConsumerLagBudgetBurnsFast", "ConsumerLagBudgetBurns"],
        indicator: Indicator::Time(consumer_behind),
    },
];

/// Objectives that only services have which declare them.
pub const FURTHER_OBJECTIVES: [Objective; 1] = [Objective {
    name: "freshness",
    budget: 0.01,
    alerts: ["FreshnessBudgetBurnsFast", "FreshnessBudgetBurns"],
    indicator: Indicator::Requests(stale),
}];

/// Recorded windows and their series.
pub const WINDOWS: [(&str, &str); 7] = [
    ("5m", recorded::ERROR_RATIO_5M),
    ("30m", recorded::ERROR_RATIO_30M),
    ("1h", recorded::ERROR_RATIO_1H),
    ("2h", recorded::ERROR_RATIO_2H),
    ("6h", recorded::ERROR_RATIO_6H),
    ("1d", recorded::ERROR_RATIO_1D),
    ("3d", recorded::ERROR_RATIO_3D),
];

/// Burn rate, long window and short window; the alert fires if any pair exceeds its burn rate.
const FAST: [(f64, &str, &str); 2] = [
    (14.4, recorded::ERROR_RATIO_1H, recorded::ERROR_RATIO_5M),
    (6.0, recorded::ERROR_RATIO_6H, recorded::ERROR_RATIO_30M),
];
const SLOW: [(f64, &str, &str); 2] = [
    (3.0, recorded::ERROR_RATIO_1D, recorded::ERROR_RATIO_2H),
    (1.0, recorded::ERROR_RATIO_3D, recorded::ERROR_RATIO_6H),
];

/// Recording rules of these services.
pub(crate) fn recordings(objectives: &[Objective], jobs: &Jobs) -> Group {
    let rules = objectives.iter().flat_map(|objective| objective.recordings(jobs)).map(Rule::Record).collect();
    Group::new(jobs.group("slo"), rules)
}

/// Alerts on the burn rates of these services.
pub(crate) fn burning(objectives: &[Objective], jobs: &Jobs) -> Group {
    let rules = objectives.iter().flat_map(|objective| objective.alerts(jobs)).map(Rule::Alert).collect();
    Group::new(jobs.group("slo-burn"), rules)
}

/// Alerts on what is broken in any service.
pub(crate) fn broken() -> Group {
    let alerts = [
        down(),
        relay_without_leader(),
        no_progress(),
        dependency_down(),
        dead_letters(),
        certificate_expires(),
        certificate_refused(),
        issuer_keys_unreadable(),
    ];
    Group::new("broken", alerts.map(Rule::Alert).into())
}

/// Rate of HTTP and gRPC requests. Requests without a route or method do not count: those of scanners would dilute the
/// error ratio.
fn requests(window: &str, http: &Series, grpc: &Series) -> Expr {
    let (http, grpc) = (http.clone().is_not("route", NO_ROUTE), grpc.clone().is_not("method", NO_METHOD));
    sum(&["job"], &http.rate_over(window).or(&grpc.rate_over(window)))
}

fn failed(jobs: &Jobs, window: &str) -> Expr {
    let (http, grpc) = (jobs.series(names::HTTP_REQUESTS), jobs.series(names::GRPC_HANDLED));
    let total = requests(window, &http, &grpc);
    let failed = requests(window, &http.matches("status", HTTP_FAILURES), &grpc.is("fault", SERVER_FAULT));
    failed.or_zero_of(&total).over(&total)
}

/// Ratio of late requests. Only unary gRPC calls count, because the caller decides how long a stream lasts.
fn late(jobs: &Jobs, window: &str) -> Expr {
    let (http, grpc) = (jobs.series(names::HTTP_DURATION), jobs.series(names::GRPC_DURATION).is("type", "unary"));
    // OpenMetrics formats the bound 1 as 1.0.
    let in_time = |duration: &Series| duration.clone().bucket().is("le", &format!("{LATE_AFTER:?}"));
    let total = requests(window, &http.clone().count(), &grpc.clone().count());
    Expr::raw(format!("1 - {}", requests(window, &in_time(&http), &in_time(&grpc)).over(&total)))
}

/// Ratio of events that are handled late, over all groups of the service.
fn stale(jobs: &Jobs, window: &str) -> Expr {
    let age = jobs.series(names::CONSUMER_EVENT_AGE);
    let in_time = age.clone().bucket().is("le", &format!("{STALE_AFTER:?}"));
    let of = |series: Series| sum(&["job"], &series.rate_over(window));
    Expr::raw(format!("1 - {}", of(in_time).over(&of(age.count()))))
}

fn outbox_late(jobs: &Jobs) -> Expr {
    max(&["job"], &jobs.series(names::OUTBOX_OLDEST).now()).is_above(EVENT_LATE_AFTER)
}

fn consumer_behind(jobs: &Jobs) -> Expr {
    max(&["job"], &jobs.series(names::BROKER_CONSUMER_LAG).now()).is_above(BEHIND_BY)
}

impl Objective {
    /// The same objective with another budget.
    pub(crate) const fn with_budget(self, budget: f64) -> Self {
        Self { budget, ..self }
    }

    fn recordings(&self, jobs: &Jobs) -> Vec<Recording> {
        let budget = limit(1.0, self.budget);
        let budget = Recording::new(recorded::ERROR_BUDGET, &Expr::raw(format!("vector({budget})")));
        let mut recordings = vec![match jobs {
            Jobs::One(job) => budget.label("job", job),
            Jobs::Others(_) => budget,
        }];
        if let Indicator::Time(missed) = self.indicator {
            recordings.push(Recording::new(MISSED, &missed(jobs)));
        }
        recordings.extend(WINDOWS.map(|(window, name)| {
            let ratio = match self.indicator {
                Indicator::Requests(ratio) => ratio(jobs, window),
                Indicator::Time(_) => {
                    Expr::raw(format!("avg by (job, slo) ({})", self.series(jobs, MISSED).mean(window)))
                }
            };
            Recording::new(name, &ratio)
        }));
        recordings.into_iter().map(|recording| recording.label("slo", self.name)).collect()
    }

    fn series(&self, jobs: &Jobs, name: &'static str) -> Series {
        jobs.series(name).is("slo", self.name)
    }

    fn alerts(&self, jobs: &Jobs) -> [Alert; 2] {
        let [fast, slow] = self.alerts;
        [self.alert(jobs, fast, Severity::Page, &FAST, "2m"), self.alert(jobs, slow, Severity::Ticket, &SLOW, "15m")]
    }

    fn alert(
        &self,
        jobs: &Jobs,
        name: &'static str,
        severity: Severity,
        pairs: &[(f64, &'static str, &'static str)],
        pending_for: &'static str,
    ) -> Alert {
        let burns = |(factor, long, short): &(f64, &'static str, &'static str)| {
            let limit = limit(*factor, self.budget);
            let above = |name| self.series(jobs, name).now().above(&limit);
            format!("({} and {})", above(long), above(short))
        };
        let expr = Expr::raw(pairs.iter().map(burns).collect::<Vec<_>>().join(" or "));
        let inputs = pairs.iter().flat_map(|(_, long, short)| [*long, *short]);
        Alert::new(name, severity, &expr, pending_for, self.name)
            .label("slo", self.name)
            .summary(&format!(
                "{{{{ $labels.job }}}} misses its {} objective: {{{{ $value | humanizePercentage }}}} miss it",
                self.name
            ))
            .with_inputs(inputs.map(|name| self.series(jobs, name).now()).collect())
    }
}

/// `factor * budget` without trailing zeros.
fn limit(factor: f64, budget: f64) -> String {
    let text = format!("{:.6}", factor * budget);
    text.trim_end_matches('0').to_owned()
}

fn down() -> Alert {
    let up = max(&["job"], &series(UP).now());
    Alert::new("ServiceDown", Severity::Page, &Expr::raw(format!("{up} == 0")), "2m", "service-down")
        .summary("no process of {{ $labels.job }} answers a scrape")
        .with_inputs(vec![up])
}

/// Fires also if no process with a relay is left: processes without a relay do not export the series, so the condition
/// looks at the last day. If all processes of a job are down, [`down`] fires instead.
fn relay_without_leader() -> Alert {
    let leader = series(names::OUTBOX_LEADER);
    let (known, leaders) = (max(&["job"], &leader.max_over("1d")), max(&["job"], &leader.now()));
    let up = max(&["job"], &series(UP).now());
    let expr = Expr::raw(format!("{known} unless {leaders} == 1 and {up} == 1"));
    Alert::new("RelayWithoutLeader", Severity::Page, &expr, "2m", "relay-without-leader")
        .summary("no process of {{ $labels.job }} publishes its events")
        .with_inputs(vec![known, leaders])
}

/// Fires only if all processes are affected. If one process is, others do its work and [`dependency_down`] fires.
fn no_progress() -> Alert {
    let progress = max(&["job", "dependency"], &series(names::DEPENDENCY_UP).is("kind", "progress").now());
    Alert::new("NoProgress", Severity::Page, &Expr::raw(format!("{progress} == 0")), "2m", "no-progress")
        .summary("{{ $labels.dependency }} makes no progress in any process of {{ $labels.job }}")
        .with_inputs(vec![progress])
}

fn dependency_down() -> Alert {
    let up = min(&["job", "dependency"], &series(names::DEPENDENCY_UP).now());
    Alert::new("DependencyDown", Severity::Ticket, &Expr::raw(format!("{up} == 0")), "5m", "dependency-down")
        .summary("{{ $labels.dependency }} is down for a process of {{ $labels.job }}")
        .with_inputs(vec![up])
}

fn dead_letters() -> Alert {
    let consumed = series(names::BROKER_CONSUMED);
    let given_up = consumed.clone().is("outcome", "dead_letter").increase("15m");
    let by = ["job", "topic", "group"];
    let expr = sum(&by, &given_up).above(0);
    Alert::new("DeadLetters", Severity::Ticket, &expr, "0m", "dead-letters")
        .summary(
            "{{ $labels.group }} of {{ $labels.job }} gave up on {{ $value | humanize }} events of {{ $labels.topic }}",
        )
        .with_inputs(vec![sum(&by, &consumed.increase("15m"))])
}

/// Certificates are usually renewed a third of their lifetime before they expire, which is 30 days of 90.
fn certificate_expires() -> Alert {
    let expiry = min(&["job"], &series(names::TLS_EXPIRY).now());
    let expr = Expr::raw(format!("{expiry} - time() < 14 * 86400"));
    Alert::new("CertificateExpires", Severity::Ticket, &expr, "1h", "certificate")
        .summary("the certificate of {{ $labels.job }} expires in {{ $value | humanizeDuration }}")
        .with_inputs(vec![expiry])
}

/// Files that are replaced one after the other are refused until the last one is there.
fn certificate_refused() -> Alert {
    let refused = max(&["job"], &series(names::TLS_REFUSED).now());
    Alert::new("CertificateRefused", Severity::Ticket, &refused.above(0), "5m", "certificate")
        .summary("{{ $labels.job }} refuses its new certificate and continues with the old one")
        .with_inputs(vec![refused])
}

/// Keys that are known stay valid for a day. Keys are read only while tokens arrive, so that a process without any is not counted.
fn issuer_keys_unreadable() -> Alert {
    let reads = |outcome: &str| sum(&["job"], &series(names::AUTH_KEY_READS).is("outcome", outcome).increase("15m"));
    let failed = reads("error");
    let expr = Expr::raw(format!("{} unless {}", failed.above(0), reads("ok").above(0)));
    Alert::new("IssuerKeysUnreadable", Severity::Ticket, &expr, "5m", "issuer-keys")
        .summary("{{ $labels.job }} cannot read the keys of its issuer")
        .with_inputs(vec![failed])
}

#[cfg(test)]
mod tests {
    use kennel_telemetry::metrics::LATENCY_BUCKETS;

    use super::*;

    #[test]
    fn objectives_for_durations_are_bounds_of_buckets() {
        assert!(LATENCY_BUCKETS.contains(&LATE_AFTER) && LATENCY_BUCKETS.contains(&STALE_AFTER));
    }

    #[test]
    fn a_limit_has_no_trailing_zeros() {
        assert_eq!(limit(14.4, 0.001), "0.0144");
        assert_eq!(limit(6.0, 0.01), "0.06");
    }
}
