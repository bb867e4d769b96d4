//! States of deliveries, as the table stores them: as numbers of one byte, so that a change does not move the row.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::store::State;

/// Code of a stored state. A delivery is parked if it is queued and its channel has no lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) i64);

pub(super) const QUEUED: Code = Code(2);
pub(super) const DEAD: Code = Code(6);
pub(super) const PENDING_ROUTING: Code = Code(8);

impl Code {
    /// Returns the code of a state.
    pub(super) const fn of(state: State) -> Self {
        match state {
            State::Queued | State::Parked => QUEUED,
            State::Delivered => Self(3),
            State::Accepted => Self(4),
            State::Skipped => Self(5),
            State::Dead => DEAD,
            State::Suspect => Self(7),
            State::PendingRouting => PENDING_ROUTING,
        }
    }

    /// Returns the state of a delivery whose channel has a lane, or has none. No other codes are stored.
    pub(super) fn state(self, has_lane: bool) -> State {
        match State::ALL.into_iter().find(|state| Self::of(*state) == self) {
            Some(State::Queued | State::Parked) if !has_lane => State::Parked,
            state => state.unwrap_or(State::Dead),
        }
    }
}

impl ToSql for Code {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Code {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_own_code_of_one_byte() {
        for state in State::ALL {
            let code = Code::of(state);
            // SQLite stores 0 and 1 without a byte of their own (<https://sqlite.org/fileformat2.html#record_format>).
            assert!((2..128).contains(&code.0), "{state:?}");
            assert_eq!(code.state(state != State::Parked), state);
        }
        assert_eq!(
            (QUEUED.0, DEAD.0, Code::of(State::Skipped).0, Code::of(State::Suspect).0),
            (2, 6, 5, 7),
            "schema.sql"
        );
    }
}
