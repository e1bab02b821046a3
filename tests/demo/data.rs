//! The recorded hour as the plots and the checks see it.

/// The committed file; see [`crate::generate`].
pub(crate) const HOUR: &str = include_str!("data/hour.csv");

/// One row of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) time: &'static str,
    pub(crate) device: &'static str,
    pub(crate) seq: u64,
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: &'static str,
}

impl Row {
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split(',');
        Some(Self {
            time: fields.next()?,
            device: fields.next()?,
            seq: fields.next()?.parse().ok()?,
            name: fields.next()?,
            unit: fields.next()?,
            value: fields.next()?,
        })
    }

    /// Seconds since midnight.
    pub(crate) fn second(&self) -> u32 {
        let clock = self.time.get(11..19).unwrap_or_default();
        clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<u32>().unwrap_or(0))
    }
}

/// All rows, in the order of the file.
pub(crate) fn rows() -> Vec<Row> {
    HOUR.lines().skip(1).filter_map(Row::parse).collect()
}

/// A device's name and its rows.
pub(crate) type Device = (&'static str, Vec<Row>);

/// The devices, in the order in which the file names them.
pub(crate) fn devices(rows: &[Row]) -> Vec<Device> {
    let mut devices: Vec<Device> = Vec::new();
    for row in rows {
        match devices.iter_mut().find(|(name, _)| *name == row.device) {
            Some((_, rows)) => rows.push(*row),
            None => devices.push((row.device, vec![*row])),
        }
    }
    devices
}
