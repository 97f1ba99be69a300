//! Members, placement, and proposing to a leader.
//!
//! In a cluster of one every group has one replica and this node leads it; the shapes are those of many
//! nodes: a proposer numbers what it proposes and keeps it until it is committed, so that it can say it again,
//! in order, to the next leader, and it counts once.

pub mod founding;
pub mod link;
mod propose;
pub mod placement;
mod life;
mod identity;

pub use identity::{Charter, FORMAT, Identity, IdentityError, Member};
pub use life::next_life;
pub use placement::Placement;
pub use propose::Proposals;
