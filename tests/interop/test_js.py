"""js-libp2p as a real peer: a swarm of 20 js nodes with Ed25519, secp256k1 and RSA keys, which `join` joins, walks and
remembers; killed in part, it is rejoined from the cache alone; and a js node finds, dials, identifies and pings our
`run`. Arguments: the binary, a directory for npm's packages."""
import os

from js import Swarm, harness  # what they share knows the way to the harness
from harness import case, run

COUNT = 20


def join(place, *arguments):
    result = run(place, 'join', '--local', '--cache', os.path.join(place, 'peers.db'), '--json', *arguments)
    return result, result.json()


def listed(place):
    return {peer['id']: peer for peer in
            run(place, 'list', '--local', '--cache', os.path.join(place, 'peers.db'), '--json').json()}


@case
def a_js_swarm_is_joined_walked_remembered_and_rejoined_from_the_cache(place):
    with Swarm(COUNT) as swarm:
        assert {node['key'] for node in swarm.nodes} == {'Ed25519', 'secp256k1', 'RSA'}
        ids = {node['id']: node for node in swarm.nodes}
        result, report = join(place, '--peer', swarm.addr(0))
        assert result.code == 0 and report['status'] == 'joined', str(result)
        assert report['verified'] == 5 and report['saved'] is True, str(result)
        assert report['peers'][0]['via'] == 'flag' and report['peers'][0]['id'] == swarm.nodes[0]['id']
        assert all(peer['id'] in ids for peer in report['peers'])
        known = listed(place)
        assert set(known) <= set(ids), 'strangers in the cache'
        assert len(known) == COUNT, 'the walk met %d of %d' % (len(known), COUNT)
        kinds = {ids[peer]['key'] for peer, entry in known.items() if entry['state'] == 'tried'}
        assert kinds == {'Ed25519', 'secp256k1', 'RSA'}, kinds

        # A third of them go, the first peer too.
        gone = [index for index in range(COUNT) if index % 3 == 0]
        for index in gone:
            swarm.ask(cmd='stop', index=index)
        dead = {swarm.nodes[index]['id'] for index in gone}
        result, report = join(place)
        assert result.code == 0 and report['status'] == 'joined', str(result)
        assert not dead & {peer['id'] for peer in report['peers']}, str(result)
        assert {peer['via'] for peer in report['peers']} <= {'cache', 'dht'}, str(result)
        assert 'cache' in {peer['via'] for peer in report['peers']}, str(result)


@case
def a_js_node_finds_dials_identifies_and_pings_our_run(place):
    with Swarm(6) as swarm, harness.Node(place, '--peer', swarm.addr(0), '--cache',
                                         os.path.join(place, 'run.db')) as node:
        # It dials us by the address we print, and identifies us.
        dialed = swarm.ask(cmd='dial', index=1, addr=node.addr, force=True)
        assert dialed['id'] == node.id, dialed
        assert dialed['agent'].startswith('peercache/'), dialed
        assert {'/ipfs/id/1.0.0', '/ipfs/ping/1.0.0', '/ipfs/kad/1.0.0'} <= set(dialed['protocols']), dialed
        pinged = swarm.ask(cmd='ping', index=1, addr=node.addr)
        assert pinged['rtt_ms'] >= 0, pinged
        # A node that we never told of us finds us over the others, by our id alone.
        found = swarm.ask(cmd='find', index=3, id=node.id)
        assert found['id'] == node.id, found
        assert any('/udp/%d/quic-v1' % node.port in addr for addr in found['addrs']), found
        # Our own FIND_NODE answers lead somewhere: a new client that knows only us meets the js nodes.
        result, report = join(place, '--peer', node.addr)
        assert result.code == 0 and report['status'] == 'joined', str(result)
        known = set(listed(place))
        assert {entry['id'] for entry in swarm.nodes} <= known, 'the walk met %d' % len(known)
        assert node.stop() == 0


@case
def ping_measures_a_js_node(place):
    with Swarm(3) as swarm:
        for index, kind in enumerate(('Ed25519', 'secp256k1', 'RSA')):
            assert swarm.nodes[index]['key'] == kind
            result = run(place, 'ping', '--local', '--count', '2', swarm.addr(index))
            assert result.code == 0, str(result)


@case
def a_client_leaves_no_trace_in_js_routing_tables(place):
    with Swarm(6) as swarm:
        result, report = join(place, '--peer', swarm.addr(0))
        assert result.code == 0 and report['verified'] == 5, str(result)
        ids = {node['id'] for node in swarm.nodes}
        for index in range(6):
            table = swarm.ask(cmd='peers', index=index)
            assert set(table['peers']) <= ids, table


@case
def a_crawl_finds_every_js_node_and_enters_no_table(place):
    with Swarm() as swarm:
        ids = {node['id'] for node in swarm.nodes}
        gone = swarm.nodes[4]['id']
        swarm.ask(cmd='stop', index=4)
        out = os.path.join(place, 'found')
        cache = ['--local', '--cache', os.path.join(place, 'peers.db'), '--peer', swarm.addr(0)]
        result = run(place, 'crawl', *cache, '--format', 'text', '-o', out)
        assert result.code == 0, str(result)
        with open(out, encoding='utf-8') as file:
            assert {line.split('/p2p/')[1] for line in file.read().split()} == ids - {gone}, str(result)
        result = run(place, 'crawl', *cache, '--json')
        report = result.json()
        assert result.code == 0 and report['end'] == 'complete', str(result)
        assert report['alive'] == report['answered'] == COUNT - 1, str(result)
        assert report['known'] in (COUNT - 1, COUNT), str(result)  # the one that went may still be told of
        assert sum(agent['count'] for agent in report['agents'] if 'js-libp2p' in agent['agent']) == COUNT - 1, str(result)
        assert {'protocol': '/ipfs/kad/1.0.0', 'count': COUNT - 1} in report['protocols'], str(result)
        assert {peer for peer, entry in listed(place).items() if entry['state'] == 'tried'} == ids - {gone}
        for index in range(COUNT):
            if index != 4:
                table = swarm.ask(cmd='peers', index=index)
                assert set(table['peers']) <= ids, table


if __name__ == '__main__':
    harness.main()
