//! A device of the charging station: a process that says what it knows, line by line, and does what it is told.

use std::{
    fs,
    io::Write,
    process::{ChildStdin, Command},
};

use crate::{
    failure::{Doing, Failure, Result},
    process::Process,
    site::built,
};

/// A running device.
pub(crate) struct Device {
    name: String,
    process: Process,
    stdin: ChildStdin,
}

impl Device {
    /// Starts `device ARGUMENTS`; `name` is that of its files.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(built("device")?);
        let (process, stdin) = Process::start_device(name, command.args(arguments))?;
        Ok(Self { name: name.to_owned(), process, stdin })
    }

    /// Tells it something.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").doing(&self.name)
    }

    /// All that it said so far; fails if it has ended.
    pub(crate) fn said(&mut self) -> Result<Vec<String>> {
        self.process.check_runs()?;
        let file = format!("{}.said", self.name);
        let text = fs::read_to_string(&file).doing(&file)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole.lines().map(str::to_owned).collect())
    }

    /// The rest of the last line that begins with this word.
    pub(crate) fn last(&mut self, word: &str) -> Result<Option<String>> {
        let said = self.said()?;
        let rest = |line: &String| line.strip_prefix(word)?.strip_prefix(' ').map(str::to_owned);
        Ok(said.iter().rev().find_map(rest))
    }

    /// The same where it is a number.
    pub(crate) fn number(&mut self, word: &str) -> Result<Option<u64>> {
        let Some(text) = self.last(word)? else { return Ok(None) };
        let number = text.trim().parse();
        number.map(Some).map_err(|_| Failure::new(format!("{}: {word} {text}", self.name)))
    }

    /// Takes its power away.
    pub(crate) fn kill(self) -> Result<()> {
        self.process.kill()
    }
}
