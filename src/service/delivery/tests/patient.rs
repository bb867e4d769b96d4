//! The store in tests with a paused clock.

use super::*;

/// The store, with a thread that waits for each result, so that the paused clock does not advance during disk access.
pub(super) struct Patient(pub(super) Arc<dyn Store>);

macro_rules! wait_for {
    ($self:ident.$name:ident($($argument:expr),*)) => {{
        let (store, runtime) = ($self.0.clone(), tokio::runtime::Handle::current());
        tokio::task::spawn_blocking(move || runtime.block_on(store.$name($($argument),*))).await.unwrap()
    }};
}

#[async_trait]
impl Intake for Patient {
    async fn accept(
        &self,
        request: Arc<NewRequest>,
        generation: Generation,
        decide: Decide,
    ) -> Result<Accepted, StoreError> {
        wait_for!(self.accept(request, generation, decide))
    }
    async fn assign(&self, assignment: Assignment) -> Result<(), StoreError> {
        wait_for!(self.assign(assignment))
    }
    async fn route_pending(&self, route_pending: RouteLater, limit: usize) -> Result<bool, StoreError> {
        wait_for!(self.route_pending(route_pending, limit))
    }
    async fn keep_config(&self, hash: &str, text: &str) -> Result<(), StoreError> {
        let (hash, text) = (hash.to_owned(), text.to_owned());
        wait_for!(self.keep_config(&hash, &text))
    }
    async fn remembered(&self, subject: &str) -> Result<Option<Value>, StoreError> {
        let subject = subject.to_owned();
        wait_for!(self.remembered(&subject))
    }
    async fn add_rejected(&self, rejected: Vec<RejectedRequest>) -> Result<(), StoreError> {
        wait_for!(self.add_rejected(rejected))
    }
    async fn is_ready(&self) -> Result<(), StoreError> {
        wait_for!(self.is_ready())
    }
    async fn probe(&self, bytes: usize) -> Result<(), StoreError> {
        wait_for!(self.probe(bytes))
    }
}

#[async_trait]
impl Lanes for Patient {
    async fn lease(&self, lane: &Lane, owner: &str, time: Duration) -> Result<Lease, StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        wait_for!(self.lease(&lane, &owner, time))
    }
    async fn mark(&self, lane: &Lane, owner: &str, delivery: &DeliveryId) -> Result<(), StoreError> {
        let (lane, owner, delivery) = (lane.clone(), owner.to_owned(), delivery.clone());
        wait_for!(self.mark(&lane, &owner, &delivery))
    }
    async fn release(&self, lane: &Lane, owner: &str) -> Result<(), StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        wait_for!(self.release(&lane, &owner))
    }
    async fn reclaim(&self, lane: &Lane, owner: &str) -> Result<(), StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        wait_for!(self.reclaim(&lane, &owner))
    }
    async fn heads(&self, lane: &Lane, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        let lane = lane.clone();
        wait_for!(self.heads(&lane, limit))
    }
    async fn finish(&self, lane: &Lane, owner: &str, turn: Arc<Turn>) -> Result<bool, StoreError> {
        let (lane, owner) = (lane.clone(), owner.to_owned());
        wait_for!(self.finish(&lane, &owner, turn))
    }
    async fn set_lane(&self, lane: &Lane, state: LaneState) -> Result<(), StoreError> {
        let lane = lane.clone();
        wait_for!(self.set_lane(&lane, state))
    }
    fn arrivals(&self) -> Arrivals {
        self.0.arrivals()
    }
}

#[async_trait]
impl History for Patient {
    async fn config(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let hash = hash.to_owned();
        wait_for!(self.config(&hash))
    }
    async fn rejected(&self, limit: usize) -> Result<Vec<RejectedRequest>, StoreError> {
        wait_for!(self.rejected(limit))
    }
    async fn last_request(&self, source: &SourceName, since: Millis) -> Result<Option<Millis>, StoreError> {
        let source = source.clone();
        wait_for!(self.last_request(&source, since))
    }

    async fn count_events(&self, filter: Filter) -> Result<u64, StoreError> {
        wait_for!(self.count_events(filter))
    }
    async fn count_deliveries(&self, filter: Filter) -> Result<u64, StoreError> {
        wait_for!(self.count_deliveries(filter))
    }
    async fn events(&self, filter: Filter) -> Result<Vec<EventSummary>, StoreError> {
        wait_for!(self.events(filter))
    }
    async fn deliveries(&self, filter: Filter) -> Result<Vec<DeliverySummary>, StoreError> {
        wait_for!(self.deliveries(filter))
    }
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryDetail>, StoreError> {
        let id = id.clone();
        wait_for!(self.delivery(&id))
    }
    async fn event_json(&self, id: &EventId) -> Result<Option<Value>, StoreError> {
        let id = id.clone();
        wait_for!(self.event_json(&id))
    }
    async fn counts(&self) -> Result<Counts, StoreError> {
        wait_for!(self.counts())
    }
    async fn enqueue(
        &self,
        deliveries: Vec<NewDelivery>,
        generation: Generation,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        wait_for!(self.enqueue(deliveries, generation))
    }
    async fn give_up(&self, ids: Vec<DeliveryId>, why: &str) -> Result<Vec<DeliveryId>, StoreError> {
        let why = why.to_owned();
        wait_for!(self.give_up(ids, &why))
    }
    async fn prune(&self, keep: Retention) -> Result<bool, StoreError> {
        wait_for!(self.prune(keep))
    }
}

#[async_trait]
impl Store for Patient {
    async fn close(&self) -> Result<(), StoreError> {
        wait_for!(self.close())
    }
    fn faults(&self) -> Vec<String> {
        self.0.faults()
    }
    fn set_address(&self, address: &str) -> std::io::Result<()> {
        self.0.set_address(address)
    }
}
