//! Watches the addresses of a server: resolves host names, connects, and follows `grpc.health.v1`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::addresses::{Address, AddressState, Addresses, Origin};
use super::config::GrpcClientTuning;

/// Failures after which it is logged that a server has not answered yet.
const STARTUP_FAILURES: u32 = 3;

/// Keeps the addresses up to date, until it is dropped.
pub(crate) struct Watcher {
    pub(crate) name: &'static str,
    pub(crate) origins: Vec<Origin>,
    pub(crate) tuning: GrpcClientTuning,
    pub(crate) addresses: Arc<Addresses>,
}

impl Watcher {
    pub(crate) async fn run(self) {
        let mut watches = JoinSet::new();
        let mut running: HashMap<SocketAddr, AbortHandle> = HashMap::new();
        let mut failures = 0;
        loop {
            let found = self.resolve().await;
            // Names that cannot be resolved for a moment do not remove addresses that work.
            if found.is_empty() && !running.is_empty() {
                failures += 1;
            } else {
                failures = if found.is_empty() { failures + 1 } else { 0 };
                running.retain(|address, watch| {
                    let is_known = found.iter().any(|found| found.socket == *address);
                    if !is_known {
                        watch.abort();
                    }
                    is_known
                });
                // Before the watches: the state of an unknown address is not recorded.
                self.addresses.replace(found.clone());
                for Address { socket: address, channel, .. } in found {
                    running.entry(address).or_insert_with(|| {
                        let (addresses, tuning) = (Arc::clone(&self.addresses), self.tuning.clone());
                        watches.spawn(watch(self.name, address, channel, addresses, tuning))
                    });
                }
            }
            while watches.try_join_next().is_some() {}
            let pause = if failures > 0 { self.tuning.reconnect.delay(failures) } else { self.tuning.resolve_interval };
            sleep(pause).await;
        }
    }

    /// All addresses of all names; those that are known already with their channel and state.
    async fn resolve(&self) -> Vec<Address> {
        let known = self.addresses.all();
        let mut found: Vec<Address> = Vec::new();
        for origin in &self.origins {
            let resolved = match timeout(self.tuning.connect_timeout, origin.resolve()).await {
                Ok(Ok(resolved)) => resolved,
                Ok(Err(error)) => {
                    tracing::warn!(client = self.name, error = &*error, "cannot resolve the name of a grpc server");
                    continue;
                }
                Err(_) => continue,
            };
            for address in resolved {
                if found.iter().any(|found| found.socket == address) {
                    continue;
                }
                let same = known.iter().find(|known| known.socket == address).cloned();
                let new = || {
                    let channel = origin.channel(address);
                    Address { socket: address, channel, state: AddressState::Connecting }
                };
                found.push(same.unwrap_or_else(new));
            }
        }
        found
    }
}

/// Records the state of an address for ever.
async fn watch(
    name: &'static str,
    address: SocketAddr,
    channel: Channel,
    addresses: Arc<Addresses>,
    tuning: GrpcClientTuning,
) {
    let mut failures = 0;
    loop {
        let mut served = false;
        let error = follow(&channel, &tuning, |state| {
            served = true;
            addresses.set(address, state);
        })
        .await;
        addresses.set(address, AddressState::Unreachable);
        if served {
            failures = 0;
        }
        failures += 1;
        // A server that starts together with this process is given a moment.
        if served || failures == STARTUP_FAILURES {
            tracing::warn!(client = name, %address, code = ?error.code(), "grpc server does not answer");
        }
        pause(&addresses, &tuning, failures).await;
    }
}

/// Waits until the next connection attempt. A call that finds no address makes it start early, but never sooner than after
/// the first failure.
async fn pause(addresses: &Addresses, tuning: &GrpcClientTuning, failures: u32) {
    let mut demand = pin!(addresses.demand());
    demand.as_mut().enable();
    let (least, whole) = (tuning.reconnect.delay(1), tuning.reconnect.delay(failures));
    sleep(least).await;
    timeout(whole.saturating_sub(least), demand).await.ok();
}

/// Reports each state of the server until it does not answer, or ends the watch.
async fn follow(channel: &Channel, tuning: &GrpcClientTuning, mut report: impl FnMut(AddressState)) -> Status {
    let mut health = HealthClient::new(channel.clone());
    let request = HealthCheckRequest { service: String::new() };
    let first = async {
        let mut statuses = health.watch(request.clone()).await?.into_inner();
        let status = statuses.message().await?;
        Ok::<_, Status>((statuses, status))
    };
    let (mut statuses, mut status) = match timeout(tuning.connect_timeout, first).await {
        Ok(Ok(watched)) => watched,
        Ok(Err(error)) if error.code() == Code::Unimplemented => return ping(health, tuning, report).await,
        Ok(Err(error)) => return error,
        Err(_) => return Status::deadline_exceeded("no answer to a health check"),
    };
    loop {
        let Some(current) = status else { return Status::unavailable("the watch has ended") };
        let is_serving = current.status() == ServingStatus::Serving;
        report(if is_serving { AddressState::Serving } else { AddressState::NotServing });
        status = match statuses.message().await {
            Ok(status) => status,
            Err(error) => return error,
        };
    }
}

/// A server without `grpc.health.v1` serves while it answers at all.
async fn ping(
    mut health: HealthClient<Channel>,
    tuning: &GrpcClientTuning,
    mut report: impl FnMut(AddressState),
) -> Status {
    loop {
        report(AddressState::Serving);
        sleep(tuning.check_interval).await;
        let request = HealthCheckRequest { service: String::new() };
        match timeout(tuning.connect_timeout, health.check(request)).await {
            Ok(Err(error)) if error.code() == Code::Unimplemented => {}
            Ok(Err(error)) => return error,
            // It has the service now.
            Ok(Ok(_)) => return Status::unavailable("the server has changed"),
            Err(_) => return Status::deadline_exceeded("no answer to a health check"),
        }
    }
}
