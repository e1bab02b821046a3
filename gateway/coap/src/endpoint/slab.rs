//! Values by an identifier that is never given to a second value.
//!
//! Guarantees: an identifier of a removed value finds nothing; memory is that of the most values
//! that were there at once. Does not: bound that number.

/// A place, and how often it was given away.
#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// The values.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, value: T) -> u64 {
        let Some(index) = self.free.pop() else {
            let index = self.places.len() as u64;
            self.places.push(Place { generation: 0, value: Some(value) });
            return index;
        };
        let place = &mut self.places[index as usize];
        place.generation = place.generation.wrapping_add(1);
        place.value = Some(value);
        u64::from(place.generation) << 32 | u64::from(index)
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        let (generation, index) = split(id);
        let place = self.places.get(index as usize)?;
        place.value.as_ref().filter(|_| place.generation == generation)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let (generation, index) = split(id);
        let place = self.places.get_mut(index as usize)?;
        place.value.as_mut().filter(|_| place.generation == generation)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let (generation, index) = split(id);
        let place = self.places.get_mut(index as usize)?;
        if place.generation != generation {
            return None;
        }
        let value = place.value.take()?;
        self.free.push(index);
        Some(value)
    }
}

/// Generation and index of an identifier.
fn split(id: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = id.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_never_given_twice() {
        let mut slab = Slab::new();
        let first = slab.insert(1);
        assert_eq!(slab.remove(first), Some(1));
        let second = slab.insert(2);
        assert_ne!(first, second);
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&2)));
        assert_eq!((slab.remove(first), slab.len()), (None, 1));
    }
}
