//! A disk in memory that forgets what was not synced, and fails or loses power at any numbered step.
//!
//! The model: contents of a file and names in a folder are durable only once [`Disk::sync`] or [`Disk::sync_dir`]
//! returned; until then each single change may survive a power cut or not, in any order and torn
//! ([`crate::survival`]). A rename is one change. A file's sync says nothing about its name, a folder's nothing about
//! its own. A failed write leaves half of its bytes behind; a failed sync leaves the changes undone or, for the files
//! of the log, forgets them although reading still shows them, as Linux does.
//!
//! Order of use: [`Memory::new`] with an [`Image`]; [`Memory::plan`]; the code under test, through [`Disk`] and the
//! SQLite file layer in [`crate::vfs`]; then [`Memory::survivors`] into the next [`Memory::new`], or
//! [`Memory::plan`] again when only the process died.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, ErrorKind},
};

use sluicegate_daemon::disk::Disk;

use crate::survival::{Candidate, Fate, Survival};

/// Names a file or folder, whatever it is called.
pub(crate) type Id = usize;

const ROOT: Id = 0;

/// What goes wrong, and at which step; steps count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing does.
    Well,
    /// The power fails during this step.
    Cut(u64),
    /// This step fails.
    Fail(u64),
    /// From this step on, so many steps find no space.
    Full(u64, u64),
}

/// What a disk holds, as `None` for a folder or `Some` content of a file, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Image(pub(crate) BTreeMap<String, Option<Vec<u8>>>);

/// The disk.
pub(crate) struct Memory(RefCell<State>);

struct State {
    nodes: Vec<Node>,
    plan: Plan,
    step: u64,
    off: bool,
}

enum Node {
    File(File),
    Folder(Folder),
}

/// Changes carry the step that made them.
#[derive(Default)]
struct File {
    database: bool,
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<(u64, Change)>,
}

#[derive(Default)]
struct Folder {
    durable: Names,
    current: Names,
    pending: Vec<(u64, Naming)>,
}

type Names = BTreeMap<String, Id>;

#[derive(Clone)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

#[derive(Clone)]
enum Naming {
    Add(String, Id),
    Remove(String),
    Rename(String, String),
}

enum Step {
    Change(Id, Change),
    Naming(Id, Naming),
    SyncFile(Id),
    SyncFolder(Id),
}

impl Memory {
    pub(crate) fn new(image: &Image) -> Self {
        let nodes = vec![Node::Folder(Folder::default())];
        let mut state = State { nodes, plan: Plan::Well, step: 0, off: false };
        for (path, content) in &image.0 {
            state.insert(path, content.as_deref());
        }
        Self(RefCell::new(state))
    }

    /// Switches the power on, if it was off, and counts steps anew.
    pub(crate) fn plan(&self, plan: Plan) {
        let mut state = self.0.borrow_mut();
        (state.plan, state.step, state.off) = (plan, 0, false);
    }

    /// Steps taken under the present plan.
    pub(crate) fn steps(&self) -> u64 {
        self.0.borrow().step
    }

    /// Whether the plan has struck.
    pub(crate) fn struck(&self) -> bool {
        let state = self.0.borrow();
        match state.plan {
            Plan::Well => false,
            Plan::Cut(at) | Plan::Fail(at) | Plan::Full(at, _) => state.step >= at,
        }
    }

    /// What is left after a power cut.
    pub(crate) fn survivors(&self, survival: &Survival) -> Image {
        let state = self.0.borrow();
        let mut image = Image::default();
        state.collect(ROOT, "", &mut image, &|node| state.survive(node, survival));
        image
    }

    /// What reading shows.
    pub(crate) fn image(&self) -> Image {
        let mut image = Image::default();
        self.0.borrow().collect(ROOT, "", &mut image, &|node| match node {
            Node::File(file) => Left::File(file.current.clone()),
            Node::Folder(folder) => Left::Folder(folder.current.clone()),
        });
        image
    }

    /// Opens or creates a file of the database.
    pub(crate) fn open(&self, path: &str, create: bool) -> io::Result<Id> {
        let found = self.0.borrow().find(path);
        match found {
            None if create => {
                self.create(path, Node::File(File { database: true, ..File::default() }))
            }
            other => other.ok_or_else(|| absent(path)),
        }
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.0.borrow().find(path).is_some()
    }

    pub(crate) fn length(&self, id: Id) -> usize {
        self.0.borrow().file(id).current.len()
    }

    /// Reads what there is of these bytes; gives how many.
    pub(crate) fn read_into(&self, id: Id, offset: usize, out: &mut [u8]) -> usize {
        let state = self.0.borrow();
        let rest = state.file(id).current.get(offset..).unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        count
    }

    pub(crate) fn write_at(&self, id: Id, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.take(Step::Change(id, Change::Write(offset, bytes.to_vec())))
    }

    pub(crate) fn set_length(&self, id: Id, length: usize) -> io::Result<()> {
        self.take(Step::Change(id, Change::Length(length)))
    }

    pub(crate) fn sync_id(&self, id: Id) -> io::Result<()> {
        self.take(Step::SyncFile(id))
    }

    fn create(&self, path: &str, node: Node) -> io::Result<Id> {
        let (folder, name) = self.parent(path)?;
        let id = {
            let mut state = self.0.borrow_mut();
            state.nodes.push(node);
            state.nodes.len() - 1
        };
        self.take(Step::Naming(folder, Naming::Add(name, id)))?;
        Ok(id)
    }

    fn parent(&self, path: &str) -> io::Result<(Id, String)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.find(parent)?, name.to_owned()))
    }

    fn find(&self, path: &str) -> io::Result<Id> {
        self.0.borrow().find(path).ok_or_else(|| absent(path))
    }

    fn find_or_create(&self, path: &str) -> io::Result<Id> {
        match self.find(path) {
            Err(_) => self.create(path, Node::File(File::default())),
            found => found,
        }
    }

    fn take(&self, step: Step) -> io::Result<()> {
        self.0.borrow_mut().take(step)
    }
}

impl Disk for Memory {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let state = self.0.borrow();
        state.powered()?;
        Ok(state.find(path).map(|id| state.file(id).current.clone()))
    }

    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let (offset, state) = (size(offset)?, self.0.borrow());
        state.powered()?;
        let id = state.find(path).ok_or_else(|| absent(path))?;
        let bytes = state.file(id).current.get(offset..offset + length);
        bytes.map(<[u8]>::to_vec).ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let id = self.find_or_create(path)?;
        self.write_at(id, self.length(id), bytes)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let id = self.find_or_create(path)?;
        if self.length(id) > 0 {
            self.set_length(id, 0)?;
        }
        self.write_at(id, 0, bytes)
    }

    fn truncate(&self, path: &str, length: u64) -> io::Result<()> {
        self.set_length(self.find(path)?, size(length)?)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        self.sync_id(self.find(path)?)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.take(Step::SyncFolder(self.find(path)?))
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        match self.find(path) {
            Err(_) => self.create(path, Node::Folder(Folder::default())).map(|_| ()),
            Ok(_) => Ok(()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.find(from)?;
        let ((folder, from), (other, to)) = (self.parent(from)?, self.parent(to)?);
        assert_eq!(folder, other, "nothing is moved between folders");
        self.take(Step::Naming(folder, Naming::Rename(from, to)))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        if self.find(path).is_err() {
            return self.0.borrow().powered();
        }
        let (folder, name) = self.parent(path)?;
        self.take(Step::Naming(folder, Naming::Remove(name)))
    }

    fn remove_tree(&self, path: &str) -> io::Result<()> {
        for name in self.list(path)? {
            self.remove(&format!("{path}/{name}"))?;
        }
        self.remove(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let state = self.0.borrow();
        state.powered()?;
        let folder = state.find(path).map(|id| match &state.nodes[id] {
            Node::Folder(folder) => folder.current.keys().cloned().collect(),
            Node::File(_) => Vec::new(),
        });
        Ok(folder.unwrap_or_default())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(1 << 30)
    }
}

impl State {
    /// Puts a durable file or folder in place; parents come before children.
    fn insert(&mut self, path: &str, content: Option<&[u8]>) {
        let id = self.nodes.len();
        self.nodes.push(match content {
            None => Node::Folder(Folder::default()),
            Some(bytes) => Node::File(File {
                database: !path.contains('/'),
                durable: bytes.to_vec(),
                current: bytes.to_vec(),
                pending: Vec::new(),
            }),
        });
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.find(parent).expect("a folder before what is in it");
        let folder = self.folder_mut(parent);
        folder.durable.insert(name.to_owned(), id);
        folder.current.insert(name.to_owned(), id);
    }

    fn powered(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn find(&self, path: &str) -> Option<Id> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(ROOT, |id, part| {
            let Node::Folder(folder) = &self.nodes[id] else { return None };
            folder.current.get(part).copied()
        })
    }

    fn file(&self, id: Id) -> &File {
        let Node::File(file) = &self.nodes[id] else { panic!("a file was expected") };
        file
    }

    fn file_mut(&mut self, id: Id) -> &mut File {
        let Node::File(file) = &mut self.nodes[id] else { panic!("a file was expected") };
        file
    }

    fn folder_mut(&mut self, id: Id) -> &mut Folder {
        let Node::Folder(folder) = &mut self.nodes[id] else { panic!("a folder was expected") };
        folder
    }

    /// One step: done, failed half way, or the last before the power was gone.
    fn take(&mut self, step: Step) -> io::Result<()> {
        self.powered()?;
        self.step += 1;
        match self.plan {
            Plan::Cut(at) if at == self.step => {
                // What was under way when the power failed may or may not be on the disk; a sync is not.
                if !matches!(step, Step::SyncFile(_) | Step::SyncFolder(_)) {
                    self.perform(step);
                }
                self.off = true;
                self.powered()
            }
            Plan::Fail(at) if at == self.step => {
                self.perform_half(step);
                Err(io::Error::other("the disk failed"))
            }
            Plan::Full(at, count)
                if (at..at + count).contains(&self.step) && self.needs_space(&step) =>
            {
                self.perform_half(step);
                Err(ErrorKind::StorageFull.into())
            }
            _ => {
                self.perform(step);
                Ok(())
            }
        }
    }

    fn needs_space(&self, step: &Step) -> bool {
        matches!(step, Step::Change(_, Change::Write(..)) | Step::Naming(_, Naming::Add(..)))
    }

    fn perform(&mut self, step: Step) {
        let order = self.step;
        match step {
            Step::Change(id, change) => {
                let file = self.file_mut(id);
                change.apply(&mut file.current);
                file.pending.push((order, change));
            }
            Step::Naming(id, naming) => {
                let folder = self.folder_mut(id);
                naming.apply(&mut folder.current);
                folder.pending.push((order, naming));
            }
            Step::SyncFile(id) => {
                let file = self.file_mut(id);
                for (_, change) in file.pending.drain(..) {
                    change.apply(&mut file.durable);
                }
            }
            Step::SyncFolder(id) => {
                let folder = self.folder_mut(id);
                for (_, naming) in folder.pending.drain(..) {
                    naming.apply(&mut folder.durable);
                }
            }
        }
    }

    fn perform_half(&mut self, step: Step) {
        match step {
            Step::Change(id, Change::Write(offset, mut bytes)) => {
                bytes.truncate(bytes.len() / 2);
                self.perform(Step::Change(id, Change::Write(offset, bytes)));
            }
            // The kernel takes the pages for clean although they never reached the disk.
            Step::SyncFile(id) if !self.file(id).database => self.file_mut(id).pending.clear(),
            _ => {}
        }
    }

    fn survive(&self, node: &Node, survival: &Survival) -> Left {
        match node {
            Node::File(file) => {
                let mut content = file.durable.clone();
                for (candidate, change) in self.candidates(&file.pending, file.database, false) {
                    survival.apply(&candidate, change, &mut content);
                }
                Left::File(content)
            }
            Node::Folder(folder) => {
                let mut names = folder.durable.clone();
                for (candidate, naming) in self.candidates(&folder.pending, false, true) {
                    if survival.fate(&candidate) != Fate::Lost {
                        naming.apply(&mut names);
                    }
                }
                Left::Folder(names)
            }
        }
    }

    fn candidates<'a, T>(
        &self,
        pending: &'a [(u64, T)],
        database: bool,
        name: bool,
    ) -> impl Iterator<Item = (Candidate, &'a T)> {
        let (count, newest) = (pending.len(), self.step);
        pending.iter().enumerate().map(move |(position, (order, change))| {
            let last = *order == newest;
            (Candidate { order: *order, position, count, last, database, name }, change)
        })
    }

    fn collect(&self, id: Id, path: &str, image: &mut Image, left: &dyn Fn(&Node) -> Left) {
        match left(&self.nodes[id]) {
            Left::File(content) => {
                image.0.insert(path.to_owned(), Some(content));
            }
            Left::Folder(names) => {
                if !path.is_empty() {
                    image.0.insert(path.to_owned(), None);
                }
                for (name, id) in names {
                    let separator = if path.is_empty() { "" } else { "/" };
                    self.collect(id, &format!("{path}{separator}{name}"), image, left);
                }
            }
        }
    }
}

/// What became of a file or folder.
enum Left {
    File(Vec<u8>),
    Folder(Names),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length, 0),
            Self::Write(offset, bytes) => write_into(content, *offset, bytes),
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
        }
    }
}

impl Survival {
    fn apply(&self, candidate: &Candidate, change: &Change, content: &mut Vec<u8>) {
        let (offset, bytes) = match (self.fate(candidate), change) {
            (Fate::Lost, _) => return,
            (_, Change::Length(_)) => return change.apply(content),
            (fate, Change::Write(offset, bytes)) => (*offset, fate.of(*offset, bytes, content)),
        };
        if !bytes.is_empty() {
            write_into(content, offset, &bytes);
        }
    }
}

fn write_into(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn size(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| ErrorKind::InvalidInput.into())
}

fn absent(path: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, path.to_owned())
}
