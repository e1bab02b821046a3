//! Logs again what closed logs never signed: without a checkpoint over its leaf a reading can't be proved (I4).
//!
//! Guarantees: done before the recorder takes anything new; a start after a crash in between finishes it, and no reading
//! gets two leaves that prove. A reading keeps its time, and with it its day and the day on which it expires. Does not:
//! touch what was erased; what can't be logged again stays where it is, and an alarm tells of it.
//!
//! Shown by `tests/power_cut/again.rs`.

use sluicegate_notary::{
    entry::{Body, Entry},
    log::{History, Now, Submission, SubmitError},
};

use super::{Alarm, Recorder};
use crate::{
    Error,
    disk::Disk,
    files::LogFiles,
    store::{Place, StoredReading, readings::Durable},
};

impl<D: Disk> Recorder<D> {
    /// Brings the readings behind the newest checkpoint of each closed log into the open one.
    pub(super) fn log_again(&mut self, now: Now) -> Result<Vec<Alarm>, Error> {
        let mut alarms = Vec::new();
        for (number, signed) in self.store.closed_logs()? {
            let left = self.log_rest_again(now, (number, signed))?;
            if left > 0 {
                alarms.push(Alarm(format!(
                    "{left} readings of the log {number} can't be proved: it was closed before it \
                     signed them, and they can't be logged again"
                )));
            }
        }
        Ok(alarms)
    }

    /// The readings of a log from an index on; gives the number of those that have to stay.
    fn log_rest_again(&mut self, now: Now, (number, mut next): Place) -> Result<u64, Error> {
        let (mut files, mut left) = (None, 0);
        loop {
            let readings = self.store.readings_from((number, next), self.plan.max_pending)?;
            let Some(last) = readings.last() else { return Ok(left) };
            next = last.index.saturating_add(1);
            if files.is_none() {
                files = kept(self.earlier_files(number))?;
            }
            for reading in readings {
                // A device that sent it again was quicker.
                if self.is_logged(&reading)? {
                    continue;
                }
                let place = (number, reading.index);
                match self.submit_again(now, files.as_ref(), reading)? {
                    true => self.places.push(place),
                    false => left += 1,
                }
            }
            self.commit_again(now)?;
        }
    }

    fn is_logged(&self, reading: &StoredReading) -> Result<bool, Error> {
        let Some(seq) = reading.seq else { return Ok(false) };
        let durable = Durable { store: &self.store, files: &self.files };
        Ok(durable.reading(&reading.day.device, seq)?.is_some())
    }

    /// Whether the reading is in the next commit.
    fn submit_again(
        &mut self,
        now: Now,
        files: Option<&LogFiles<D>>,
        reading: StoredReading,
    ) -> Result<bool, Error> {
        let StoredReading { index, day, seq, payload } = reading;
        let entry = files.map(|files| kept(entry(files, index))).transpose()?.flatten();
        let (Some(Entry { time, body: Body::Reading(logged) }), Some(payload)) = (entry, payload)
        else {
            return Ok(false);
        };
        let (device, class, format) = (day.device, day.class, logged.format);
        let submission = Submission { ticket: 0, device, class, seq, format, payload };
        match self.submit(Now { wall: time, ..now }, submission) {
            Ok(()) => Ok(true),
            Err(SubmitError::Refused(_)) => Ok(false),
            Err(SubmitError::Store(error)) => Err(error),
        }
    }

    fn commit_again(&mut self, now: Now) -> Result<(), Error> {
        self.log.commit_now();
        // Whoever waited for these readings heard of them long ago.
        self.drive(now)?;
        self.places.clear();
        self.store.finish_moves()
    }
}

fn entry<D: Disk>(files: &LogFiles<D>, index: u64) -> Result<Entry, Error> {
    Ok(Entry::decode(&files.entry(index)?)?)
}

/// Nothing where files are damaged or gone.
fn kept<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(Error::Damaged(_) | Error::NotFound(_) | Error::Notary(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
