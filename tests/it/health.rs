//! The standard health service of a coordinator, asked as a probe asks it: without a token.

use proto::connection::Connection;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::Place;

/// A probe with its connection.
pub struct Health {
    runtime: tokio::runtime::Runtime,
    client: HealthClient<Channel>,
}

impl Health {
    /// A probe of the place's coordinator.
    pub fn of(place: &Place) -> Self {
        let connection = Connection::read(&place.path("connection.json")).expect("is there");
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("a runtime");
        let endpoint = Endpoint::new(connection.url).expect("a good address");
        let channel = runtime.block_on(endpoint.connect()).expect("it answers");
        Self { runtime, client: HealthClient::new(channel) }
    }

    /// What it says of the coordinator, and of each of its services alike.
    #[track_caller]
    pub fn asked(&self) -> ServingStatus {
        let of = ["", "gradsweep.v1.Sweeps", "gradsweep.v1.Fleet"].map(|service| {
            let mut client = self.client.clone();
            let request = HealthCheckRequest { service: service.to_owned() };
            let reply = self.runtime.block_on(client.check(request)).expect("answers");
            reply.into_inner().status()
        });
        assert!(of.iter().all(|status| *status == of[0]), "{of:?}");
        of[0]
    }
}
