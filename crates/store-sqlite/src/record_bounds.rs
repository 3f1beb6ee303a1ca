//! The bounds of a collection: what its accounts hold, and what makes room.

use ports::{NewRecord, RecordBound, RecordLimits};
use rusqlite::{OptionalExtension, Row, params};

use crate::record_rows::{RecordRows, number};

/// Number of expired rows that each create deletes: more than one, so that they never accumulate.
const SWEEP_ROWS: u32 = 16;

/// What an account holds.
#[derive(Clone, Copy, Default)]
struct Held {
    records: u64,
    steps: u64,
}

/// The owner's column of the account of a whole collection: no owner has an empty name.
const WHOLE_COLLECTION: &str = "";

impl RecordRows<'_> {
    /// What an account holds; expired records count until they are swept.
    fn held(&self, owner: &str) -> rusqlite::Result<Held> {
        let sql = "SELECT records, steps FROM record_accounts WHERE collection = ?1 AND owner = ?2";
        let held = |row: &Row<'_>| {
            Ok(Held {
                records: number(row.get(0)?),
                steps: number(row.get(1)?),
            })
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row([self.collection.name(), owner], held);
        Ok(found.optional()?.unwrap_or_default())
    }

    pub(crate) fn sweep(&self) -> rusqlite::Result<usize> {
        let sql = "DELETE FROM records WHERE rowid IN (SELECT rowid FROM records \
                   WHERE collection = ?1 AND expires_at <= ?2 LIMIT ?3)";
        let columns = params![self.collection.name(), self.now.unix_millis(), SWEEP_ROWS];
        self.connection.prepare_cached(sql)?.execute(columns)
    }

    fn sweep_owner(&self, owner: &str) -> rusqlite::Result<usize> {
        let sql = "DELETE FROM records WHERE rowid IN (SELECT rowid FROM records \
                   WHERE collection = ?1 AND owner = ?2 AND state IS NOT NULL AND expires_at <= ?3 \
                   LIMIT ?4)";
        let now = self.now.unix_millis();
        let columns = params![self.collection.name(), owner, now, SWEEP_ROWS];
        self.connection.prepare_cached(sql)?.execute(columns)
    }

    /// Whether an account fits, if need be after expired records were swept.
    fn fits(&self, owner: &str, fits: impl Fn(Held) -> bool) -> rusqlite::Result<bool> {
        // Each round deletes a batch of expired rows, until the account fits or none is left.
        while !fits(self.held(owner)?) {
            let swept = match owner {
                WHOLE_COLLECTION => self.sweep()?,
                owner => self.sweep_owner(owner)?,
            };
            if swept == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bound that a record of `steps` more steps does not fit, if any.
    pub(crate) fn bound_of_bytes(
        &self,
        owner: &str,
        steps: u64,
        limits: RecordLimits,
    ) -> rusqlite::Result<Option<RecordBound>> {
        let of_owner = RecordLimits::steps_in(limits.max_bytes_per_owner);
        if !self.fits(owner, |held| held.steps + steps <= of_owner)? {
            return Ok(Some(RecordBound::BytesOfOwner));
        }
        let in_all = RecordLimits::steps_in(limits.max_bytes);
        if !self.fits(WHOLE_COLLECTION, |held| held.steps + steps <= in_all)? {
            return Ok(Some(RecordBound::Bytes));
        }
        Ok(None)
    }

    /// The bound that one more record does not fit, if any.
    pub(crate) fn bound_of_create(
        &self,
        new: &NewRecord,
        limits: RecordLimits,
    ) -> rusqlite::Result<Option<RecordBound>> {
        let (owner, most) = (new.owner.as_str(), u64::from(limits.max_records_per_owner));
        if self.fits(owner, |held| held.records < most)? {
            return self.bound_beside_owners_records(new, limits);
        }
        let is_at_bound = self.held(owner)?.records == most;
        if limits.spare_ttl.is_zero() || !is_at_bound {
            return Ok(Some(RecordBound::RecordsOfOwner));
        }
        self.in_savepoint(|| match self.remove_first_expiring(owner, limits)? {
            true => self.bound_beside_owners_records(new, limits),
            false => Ok(Some(RecordBound::RecordsOfOwner)),
        })
    }

    fn bound_beside_owners_records(
        &self,
        new: &NewRecord,
        limits: RecordLimits,
    ) -> rusqlite::Result<Option<RecordBound>> {
        if !self.fits(WHOLE_COLLECTION, |held| held.records < limits.max_records)? {
            return Ok(Some(RecordBound::Records));
        }
        let steps = RecordLimits::steps(&new.state);
        self.bound_of_bytes(new.owner.as_str(), steps, limits)
    }

    /// Removes the record of an owner that expires first, if it can be spared; returns whether there was one.
    fn remove_first_expiring(&self, owner: &str, limits: RecordLimits) -> rusqlite::Result<bool> {
        let sql = "DELETE FROM records WHERE rowid IN (SELECT rowid FROM records \
                   WHERE collection = ?1 AND owner = ?2 AND state IS NOT NULL AND expires_at <= ?3 \
                   ORDER BY expires_at LIMIT 1)";
        let until = self.now.plus(limits.spare_ttl).unix_millis();
        let columns = params![self.collection.name(), owner, until];
        Ok(self.connection.prepare_cached(sql)?.execute(columns)? == 1)
    }

    /// Makes room; if there is none in the end, nothing was removed.
    fn in_savepoint(
        &self,
        work: impl FnOnce() -> rusqlite::Result<Option<RecordBound>>,
    ) -> rusqlite::Result<Option<RecordBound>> {
        let run = |sql: &str| self.connection.prepare_cached(sql)?.execute([]).map(drop);
        run("SAVEPOINT room")?;
        let bound = work()?;
        if bound.is_some() {
            run("ROLLBACK TO room")?;
        }
        run("RELEASE room")?;
        Ok(bound)
    }
}
