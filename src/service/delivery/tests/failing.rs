//! Messages that fail while others pass, and destinations that fail.

use super::*;

#[tokio::test(start_paused = true)]
async fn failing_message_is_dead_once_the_next_one_passes() {
    let poisoned = ("event 0".to_owned(), retry(Reason::ServerError, None));
    let fake = Fake::new("a").with(|state| state.of = vec![poisoned]);
    let other = Fake::new("b");
    let f = Fixture::new(&[&fake, &other]).await;
    let first = f.tell("a", "event 0").await;
    until("five attempts are made", async || fake.came().len() >= 5).await;
    assert_eq!(f.state(&first).await.0, State::Queued, "a single message is retried");
    for n in 1..4 {
        f.tell("a", &format!("event {n}")).await;
    }
    assert_eq!(numbers(&fake.wait_for(3).await), [1, 2, 3], "the others pass, in order");
    let (state, why) = f.state(&first).await;
    assert_eq!(state, State::Suspect);
    assert!(why.unwrap().ends_with(" times while the next message was delivered"));
    let alert = other.wait_for(1).await;
    assert_eq!(alert, ["Hookbell: A message to channel a was not delivered"]);
}

#[tokio::test(start_paused = true)]
async fn total_failure_makes_no_message_dead_and_keeps_order() {
    let fake = Fake::new("a").with(|state| state.always = Some(retry(Reason::ServerError, None)));
    let f = Fixture::new(&[&fake]).await;
    for n in 0..3 {
        f.tell("a", &format!("event {n}")).await;
    }
    sleep(Duration::from_secs(30 * 60)).await;
    let mut asked = numbers(&fake.came().into_iter().map(|(_, text)| text).collect::<Vec<_>>());
    assert!(asked.contains(&1), "the next message is tried: {asked:?}");
    asked.dedup();
    assert!(!asked.contains(&2), "no other message is tried: {asked:?}");
    fake.set(|state| state.always = None);
    assert_eq!(numbers(&fake.wait_for(3).await), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn failing_destination_makes_no_message_dead() {
    let fake = Fake::new("a").with(|state| state.always = Some(retry(Reason::Network, None)));
    let f = Fixture::new(&[&fake]).await;
    for n in 0..3 {
        f.tell("a", &format!("event {n}")).await;
    }
    sleep(Duration::from_secs(30 * 60)).await;
    let asked = numbers(&fake.came().into_iter().map(|(_, text)| text).collect::<Vec<_>>());
    assert!(asked.len() > 8 && asked.iter().all(|n| *n == 0), "{asked:?}");
    fake.set(|state| state.always = None);
    assert_eq!(numbers(&fake.wait_for(3).await), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn expired_messages_are_dead_and_reported_once() {
    let fake = Fake::new("a").with(|state| state.always = Some(retry(Reason::Network, None)));
    let other = Fake::new("b");
    let f = Fixture::new(&[&fake, &other]).await;
    let mut old = vec![];
    for n in 0..3 {
        old.push(f.tell("a", &format!("event {n}")).await);
    }
    sleep(MAX_AGE - Duration::from_secs(60)).await;
    let young = f.tell("a", "event 3").await;
    sleep(Duration::from_secs(20 * 60)).await;
    for id in &old {
        let (state, why) = f.state(id).await;
        assert_eq!((state, why.as_deref()), (State::Dead, Some("older than `max_age` while the channel is failing")));
    }
    assert_eq!(f.state(&young).await.0, State::Queued);
    fake.set(|state| state.always = None);
    assert_eq!(numbers(&fake.wait_for(1).await), [3]);
    let alerts = other.wait_for(2).await;
    let expected = ["Hookbell: A message to channel a was not delivered", "Hookbell: Channel a has recovered"];
    assert_eq!(alerts, expected, "one alert for the cause, and one for its end");
}

#[tokio::test(start_paused = true)]
async fn closed_destination_stays_closed_and_is_reported_once() {
    let gone = || Outcome::Closed(Failure::with_help(Reason::Gone, "gone", "create a new one"));
    let fake = Fake::new("a").with(|state| state.always = Some(gone()));
    let other = Fake::new("b");
    let f = Fixture::new(&[&fake, &other]).await;
    let id = f.tell("a", "event 0").await;
    f.tell("a", "event 1").await;
    assert_eq!(other.wait_for(1).await, ["Hookbell: Channel a is closed: its messages stay queued"]);
    sleep(MAX_AGE * 2).await;
    assert_eq!((fake.came().len(), other.shown().len()), (1, 1));
    assert_eq!((f.state(&id).await.0, f.outcomes(&id).await), (State::Queued, vec!["closed"]));
    let f = f.restart().await;
    sleep(MAX_AGE).await;
    assert_eq!(fake.came().len(), 1, "a restart does not reopen the channel");
    f.store.set_lane(&Lane("a".to_owned()), LaneState::Open).await.unwrap();
    assert_eq!(other.wait_for(2).await.len(), 2, "a failed reopening is reported again");
    fake.set(|state| state.always = None);
    f.store.set_lane(&Lane("a".to_owned()), LaneState::Open).await.unwrap();
    assert_eq!(numbers(&fake.wait_for(2).await), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn rejected_message_is_dead_with_the_response_and_the_lane_continues() {
    let never = Outcome::Rejected(Failure::new(Reason::InvalidMessage, "status 400: invalid_blocks"));
    let fake = Fake::new("a").with(|state| state.of = vec![("event 1".to_owned(), never)]);
    let f = Fixture::new(&[&fake]).await;
    f.tell("a", "event 0").await;
    let id = f.tell("a", "event 1").await;
    f.tell("a", "event 2").await;
    assert_eq!(numbers(&fake.wait_for(2).await), [0, 2]);
    let whole = f.store.delivery(&id).await.unwrap().unwrap();
    assert_eq!(whole.delivery.state, State::Dead);
    assert_eq!(whole.delivery.response.as_deref(), Some("status 400: invalid_blocks"));
    assert!(whole.sent.unwrap().contains("event 1"));
}
