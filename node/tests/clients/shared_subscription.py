"""Shared subscriptions: each message goes to one member of the group."""

import queue

import pytest


def drain(members, count):
    """Takes `count` messages from the members, whoever has them."""
    found = {member: [] for member in members}
    rounds = 0
    while sum(map(len, found.values())) < count:
        rounds += 1
        assert rounds < 2000, {len(list_) for list_ in found.values()}
        for member in members:
            try:
                found[member].append(member.inbox.get(timeout=0.01).payload.decode())
            except queue.Empty:
                pass
    return found


def test_each_message_goes_to_exactly_one_member(connect, name):
    members = [connect(), connect(), connect()]
    for member in members:
        member.subscribe(f"$share/{name}g/{name}/#", 1)
    publisher = connect()
    for number in range(90):
        publisher.publish(f"{name}/{number % 9}", str(number), 1)
    found = drain(members, 90)
    assert sorted(sum(found.values(), []), key=int) == [str(number) for number in range(90)]
    assert all(found.values()), "a member got nothing at all"


def test_groups_and_plain_subscriptions_are_served_apart(connect, name):
    one, two, plain = connect(), connect(), connect()
    one.subscribe(f"$share/{name}1/{name}/a", 1)
    two.subscribe(f"$share/{name}2/{name}/a", 1)
    plain.subscribe(f"{name}/a", 1)
    connect().publish(f"{name}/a", "x", 1)
    assert [one.payload(), two.payload(), plain.payload()] == ["x"] * 3


def test_the_messages_of_a_leaver_go_to_those_who_stay(connect, name):
    stays, leaves = connect(), connect()
    for member in (stays, leaves):
        member.subscribe(f"$share/{name}g/{name}/a", 1)
    leaves.unsubscribe(f"$share/{name}g/{name}/a")
    publisher = connect()
    for number in range(10):
        publisher.publish(f"{name}/a", str(number), 1)
    assert stays.payloads(10) == [str(number) for number in range(10)]


@pytest.mark.usefixtures("holdfast_only")
def test_a_shared_subscription_gets_no_retained_messages(connect, name):
    publisher = connect()
    publisher.publish(f"{name}/a", "kept", 1, retain=True)
    member = connect()
    member.subscribe(f"$share/{name}g/{name}/a", 1)
    member.nothing_before(f"{name}/a", publisher.publish)
