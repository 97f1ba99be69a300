//! A place for each group that never moves, so that one can be looked at while another is added.

use std::sync::OnceLock;

use crate::id::GroupId;

/// Places for all groups below [`GROUPS_MAX`], made when they are first needed.
pub(crate) struct Shelf<T> {
    boards: Vec<OnceLock<Board<T>>>,
}

type Board<T> = Vec<OnceLock<T>>;

/// Group numbers are below this one: some 100 KiB of memory for each 256 numbers that are in use, no more.
pub(crate) const GROUPS_MAX: u32 = BOARD * BOARD;
const BOARD: u32 = 256;

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { boards: empty() }
    }
}

impl<T> Shelf<T> {
    /// What stands in a group's place.
    pub(crate) fn get(&self, group: GroupId) -> Option<&T> {
        let (board, place) = split(group)?;
        self.boards[board].get()?[place].get()
    }

    /// What stands in a group's place, made if the place is empty; `None` beyond the last place.
    pub(crate) fn get_or_make(&self, group: GroupId, make: impl FnOnce() -> T) -> Option<&T> {
        let (board, place) = split(group)?;
        Some(self.boards[board].get_or_init(empty)[place].get_or_init(make))
    }

    /// Everything, in the order of the groups.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (GroupId, &T)> {
        (0..).zip(&self.boards).flat_map(|(board, places): (u32, _)| {
            let places = (0..).zip(places.get().into_iter().flatten());
            places.filter_map(move |(place, item): (u32, &OnceLock<T>)| {
                Some((GroupId::new(board * BOARD + place), item.get()?))
            })
        })
    }
}

fn empty<T>() -> Vec<OnceLock<T>> {
    (0..BOARD).map(|_| OnceLock::new()).collect()
}

fn split(group: GroupId) -> Option<(usize, usize)> {
    let number = group.get();
    (number < GROUPS_MAX).then_some(((number / BOARD) as usize, (number % BOARD) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_a_place_of_its_own() {
        let shelf = Shelf::default();
        let numbers = [0, 7, 255, 256, 1_000, GROUPS_MAX - 1];
        for number in numbers {
            assert_eq!(shelf.get(GroupId::new(number)), None);
            assert_eq!(shelf.get_or_make(GroupId::new(number), || number), Some(&number));
        }
        assert_eq!(shelf.get_or_make(GroupId::new(7), || 99), Some(&7), "what stands there stays");
        assert_eq!(shelf.get_or_make(GroupId::new(GROUPS_MAX), || 1), None);
        let found: Vec<_> = shelf.iter().map(|(group, number)| (group.get(), *number)).collect();
        assert_eq!(found, numbers.map(|number| (number, number)));
    }
}
