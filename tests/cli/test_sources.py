"""Which peers join and run dial: those of flags and of the environment, as the flags that switch sources off allow."""
import json
import os
import subprocess

from harness import (PEERCACHE, STRANGER, Node, addr_of, case, environment, expect, got_datagram, main, run,
                     silent_port)


def join(place, *arguments, code, peers=None):
    env = environment(place, PEERCACHE_PEERS=peers) if peers is not None else environment(place)
    result = run(place, 'join', '--local', '--json', *arguments, env=env)
    assert result.code == code, 'expected exit %d: %s' % (code, result)
    return result.json()


@case
def peers_of_the_environment_are_dialled(place):
    with Node(place, '--no-cache') as node:
        report = join(place, '--no-cache', '--target-peers', '1', code=0, peers=' , %s ,\t' % node.addr)
        assert [p['via'] for p in report['peers']] == ['env'], report


@case
def flags_switch_the_environment_off(place):
    sock, port = silent_port()
    peers = addr_of(port, STRANGER)
    for flags in [['--no-env'], ['--new-network'], ['--first']]:
        report = join(place, '--no-cache', *flags, code=1, peers=peers)
        assert report['dialed'] == 0 and report['cause'] == 'no_sources', report
    assert not got_datagram(sock)
    sock.close()


@case
def a_malformed_environment_is_not_looked_at_with_no_env(place):
    assert join(place, '--no-cache', '--no-env', code=1, peers='x')['cause'] == 'no_sources'


@case
def only_those_that_join_look_at_the_environment(place):
    env = environment(place, PEERCACHE_PEERS='x')
    for command in [['list'], ['multiaddr', addr_of(1)], ['endpoints']]:
        expect(run(place, *command, env=env), 0)


@case
def an_empty_environment_is_none(place):
    for peers in ['', ' ', ',', ' ,, ']:
        assert join(place, '--no-cache', code=1, peers=peers)['cause'] == 'no_sources'


@case
def exclusive_takes_the_environment_for_given(place):
    with Node(place, '--no-cache') as node:
        report = join(place, '--no-cache', '--exclusive', '--target-peers', '1', code=0, peers=node.addr)
        assert [p['via'] for p in report['peers']] == ['env'], report


@case
def a_node_that_runs_dials_the_environment_too(place):
    with Node(place, '--no-cache') as first:
        env = environment(place, PEERCACHE_PEERS=first.addr)
        with subprocess.Popen([PEERCACHE, 'run', '--local', '--no-cache', '--json'], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=env, cwd=place) as second:
            try:
                for line in second.stdout:
                    event = json.loads(line)
                    if event['event'] == 'join':
                        assert event['verified'] == 1, event
                        break
                else:
                    raise AssertionError('it ended without joining')
            finally:
                second.terminate()
                second.stdout.read()


@case
def as_many_peers_as_flags_and_environment_may_give(place):
    peers = ','.join([addr_of(1, STRANGER)] * 256)
    report = join(place, '--no-cache', '--timeout', '1s', code=1, peers=peers)
    assert report['dialed'] >= 1, report
    result = run(place, 'join', '--local', '--peer', addr_of(1), env=environment(place, PEERCACHE_PEERS=peers))
    expect(result, 2, 'PEERCACHE_PEERS', '256')
    assert not os.path.exists(os.path.join(place, 'state'))


main()
