#!/usr/bin/env node
// A swarm of js-libp2p nodes in one process, on 127.0.0.1 over QUIC, driven by JSON lines on stdin.
//
//   node swarm.mjs [--count 20] [--kad-protocol /ipfs/kad/1.0.0] [--max-seconds 300] [--push] [--listen IP]...
//
// With --push the nodes push changes to their peers and take theirs in; with --listen they listen on these IPs in turn, dial
// everywhere, and serve AutoNAT v2.
//
// stdout, one JSON object a line:
//   {"event":"listening","index","id","key","addrs"}  once a node, in index order
//   {"event":"ready","count","ms","rss_mb"}           topology connected, routing tables filled
// stdin, one JSON object a line; every command may carry "tag" (any value, echoed in its one answer) and "timeout_ms":
//   {"cmd":"stop","index"}               -> {"event":"stopped","index"}
//   {"cmd":"start","index","addr"}       -> {"event":"started","index","id","addrs"}
//       a stopped node again, under its key, at another port; it dials addr, and nobody else
//   {"cmd":"bootstrap","index","url"}    -> {"event":"bootstrapped","index","listed","connected"}
//       dials all multiaddrs of the list at url, one a line
//   {"cmd":"dial","index","addr"}        -> {"event":"dialed","index","addr","id","key","agent","protocols","addrs","observed","reused"}
//       "reused":true says that there was a connection to just this address already; "force":true opens a new one anyway.
//       (js-libp2p alone would take any connection to that peer, even an inbound one, and never try the address.)
//   {"cmd":"ping","index","addr"}        -> {"event":"pinged","index","addr","rtt_ms","total_ms"}
//   {"cmd":"find","index","id"}          -> {"event":"found","index","id","addrs","via","queried"}
//       asks the network, not the own peer store, unless "cache":true; "via" is the peer that gave the answer
//   {"cmd":"closest","index","id"}       -> {"event":"closest","index","id","peers","queried"}
//   {"cmd":"peers","index"}              -> {"event":"peers","index","size","peers","connected"}
//   {"cmd":"known","index","id"}         -> {"event":"known","index","id","protocols","addrs","signed"}
//       what the peer store holds of a peer: from identify and identify-push; "signed": a signed record of it
//   {"cmd":"client","index"}             -> {"event":"client","index"}; serves no more, and pushes that to its peers
//   {"cmd":"exit"}                       -> {"event":"exit","reason"}, then the process ends
// A command that fails is answered {"event":"error","cmd","index","message"}. Commands run concurrently: answers come in
// the order of completion. Those given before "ready" wait for it, except exit.
//
// Exit status: 0 after "exit", end of stdin or SIGTERM/SIGINT; 1 if the swarm cannot start; 2 usage; 3 after --max-seconds.

import './polyfill.mjs' // stays first
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { quic } from '@chainsafe/libp2p-quic'
import { autoNATv2 } from '@libp2p/autonat-v2'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const MIN_TABLE = 3
const COMMAND_TIMEOUT_MS = 15_000
const PARALLEL_DIALS = 32
const START_DIALS = 6 // of one node to another, until it is said that the swarm cannot start
const GRACE_MS = 3_000
const KEYS = [['Ed25519'], ['secp256k1'], ['RSA', 2048]]
const PING = { maxInboundStreams: 64, maxOutboundStreams: 64 }

function usage (message) {
  process.stderr.write(`swarm: ${message}\nusage: node swarm.mjs [--count N] [--kad-protocol P] [--max-seconds S] [--push] [--listen IP]...\n`)
  process.exit(2)
}

function options () {
  let values
  try {
    values = parseArgs({
      options: {
        count: { type: 'string', default: '20' },
        'kad-protocol': { type: 'string', default: '/ipfs/kad/1.0.0' },
        'max-seconds': { type: 'string', default: '300' },
        push: { type: 'boolean', default: false },
        listen: { type: 'string', multiple: true, default: [] }
      }
    }).values
  } catch (err) {
    usage(err.message)
  }
  const count = Number(values.count)
  const maxSeconds = Number(values['max-seconds'])
  if (!Number.isInteger(count) || count < 1) usage('--count must be a whole number above 0')
  if (!(maxSeconds > 0 && maxSeconds <= 86_400)) usage('--max-seconds must be above 0 and at most 86400')
  if (!values['kad-protocol'].startsWith('/')) usage('--kad-protocol must start with /')
  return { count, maxSeconds, kadProtocol: values['kad-protocol'], push: values.push, listen: values.listen }
}

const { count, maxSeconds, kadProtocol, push, listen } = options()
const started = performance.now()

const emit = (object) => process.stdout.write(JSON.stringify(object) + '\n')
const warn = (text) => process.stderr.write(`swarm: ${text}\n`)
const messageOf = (err) => [err?.message ?? String(err), ...(err?.errors ?? []).map(messageOf)].join('; ')

process.stdout.on('error', () => process.exit(0)) // nobody reads us any more
process.on('unhandledRejection', (err) => warn(`unhandled rejection: ${err?.stack ?? err}`))

/** @type {Array<import('libp2p').Libp2p | undefined>} index -> node, undefined once stopped */
const nodes = []
/** index -> private key */
const keys = []
/** connection -> promise of what identify told about its remote */
const identified = new WeakMap()

// ---- nodes

// Nothing may be dialled outside 127.0.0.1, whatever addresses other peers spread.
function notLoopback (addr) {
  const first = addr.getComponents()[0]
  return !(first?.name === 'ip4' && first.value === '127.0.0.1')
}

async function makeNode (index, ip) {
  keys[index] ??= await generateKeyPair(...KEYS[index % KEYS.length])
  const node = await createLibp2p({
    privateKey: keys[index],
    // A public address it would keep to itself until others proved it, unless it is announced.
    addresses: ip
      ? { listen: [`/ip4/${ip}/udp/4001/quic-v1`], announce: [`/ip4/${ip}/udp/4001/quic-v1`] }
      : { listen: ['/ip4/127.0.0.1/udp/0/quic-v1'] },
    transports: [quic({ ipv6: false })],
    connectionGater: { denyDialMultiaddr: ip ? () => false : notLoopback }, // the default denies loopback and private addresses
    connectionManager: { // the defaults drop all beyond 5 a second from one address
      maxConnections: 10_000,
      inboundConnectionThreshold: 100_000,
      maxIncomingPendingConnections: 10_000
    },
    services: {
      identify: identify(),
      ...(push ? { identifyPush: identifyPush() } : {}),
      ...(ip ? { autoNAT: autoNATv2() } : {}),
      ping: ping(PING),
      dht: kadDHT({
        protocol: kadProtocol,
        clientMode: false,
        peerInfoMapper: passthroughMapper, // the default drops private addresses
        allowQueryWithZeroPeers: true
      })
    },
    start: false
  })

  // identify runs by itself on every new connection and its failures are swallowed: keep its promise, so that a dial
  // can report either outcome at once.
  const service = node.services.identify
  const run = service.identify.bind(service)
  service.identify = (connection, opts) => {
    const promise = run(connection, opts)
    promise.catch(() => {})
    identified.set(connection, promise)
    return promise
  }

  await node.start()
  return node
}

// A ring and two chords a node: every node has at least 4 neighbours if there are enough nodes.
function edges (n) {
  const seen = new Set()
  for (let i = 0; i < n; i++) {
    for (const step of [1, Math.max(2, Math.floor(n / 4)), Math.max(3, Math.floor(n / 2) - 1)]) {
      const j = (i + step) % n
      if (i !== j) seen.add(i < j ? `${i} ${j}` : `${j} ${i}`)
    }
  }
  return [...seen].map((edge) => edge.split(' ').map(Number))
}

function tableAtLeast (node, size) {
  const table = node.services.dht.routingTable
  return new Promise((resolve) => {
    const check = () => {
      if (table.size < size) return
      table.removeEventListener('peer:add', check)
      resolve()
    }
    table.addEventListener('peer:add', check)
    check()
  })
}

// On a busy machine a handshake may take longer than libp2p waits for a dial (10 s).
async function meet (from, to) {
  for (let left = START_DIALS; ; left--) {
    try {
      return await identified.get(await from.dial(to.getMultiaddrs()))
    } catch (err) {
      if (left <= 1) throw err
      warn(`dialed again: ${messageOf(err)}`)
    }
  }
}

async function start () {
  const starting = Array.from({ length: count }, (_, i) => makeNode(i, listen[i % listen.length]))
  starting.forEach((promise) => promise.catch(() => {}))
  for (let i = 0; i < count; i++) {
    const node = nodes[i] = await starting[i]
    emit({
      event: 'listening',
      index: i,
      id: node.peerId.toString(),
      key: KEYS[i % KEYS.length][0],
      addrs: node.getMultiaddrs().map(String)
    })
  }
  const filled = nodes.map((node) => tableAtLeast(node, Math.min(MIN_TABLE, count - 1)))
  const todo = edges(count).values() // shared by the dialers; all at once, 200 nodes were not ready after 100 s
  await Promise.all(Array.from({ length: PARALLEL_DIALS }, async () => {
    for (const [from, to] of todo) {
      await meet(nodes[from], nodes[to])
    }
  }))
  await Promise.all(filled)
  emit({
    event: 'ready',
    count,
    ms: Math.round(performance.now() - started),
    rss_mb: Math.round(process.memoryUsage.rss() / 1e6)
  })
}

// ---- commands

const addrOf = (command) => {
  if (typeof command.addr !== 'string') throw new Error('addr must be a string')
  return multiaddr(command.addr)
}

const idOf = (command) => {
  if (typeof command.id !== 'string') throw new Error('id must be a string')
  return peerIdFromString(command.id)
}

async function connect (node, command, signal) {
  const addr = addrOf(command)
  const known = node.getConnections().find(({ status, remoteAddr }) => status === 'open' && remoteAddr.equals(addr))
  return known !== undefined && command.force !== true ? known : node.dial(addr, { signal, force: true })
}

const commands = {
  async start (none, command, signal) {
    const node = await makeNode(command.index, listen[command.index % listen.length])
    const connection = await node.dial(addrOf(command), { signal })
    await identified.get(connection)
    nodes[command.index] = node
    return { event: 'started', id: node.peerId.toString(), addrs: node.getMultiaddrs().map(String) }
  },

  async bootstrap (node, command, signal) {
    const response = await fetch(command.url, { signal })
    if (!response.ok) throw new Error(`HTTP status ${response.status}`)
    const listed = (await response.text()).split('\n').filter((line) => line !== '').map((line) => multiaddr(line))
    const dialed = await Promise.allSettled(listed.map(async (addr) => {
      await identified.get(await node.dial(addr, { signal }))
    }))
    return {
      event: 'bootstrapped',
      listed: listed.length,
      connected: dialed.filter(({ status }) => status === 'fulfilled').length
    }
  },

  async stop (node, command) {
    nodes[command.index] = undefined
    await node.stop()
    return { event: 'stopped' }
  },

  async dial (node, command, signal) {
    const before = new Set(node.getConnections())
    const connection = await connect(node, command, signal)
    const result = await (identified.get(connection) ?? node.services.identify.identify(connection, { signal }))
    return {
      event: 'dialed',
      addr: command.addr,
      id: result.peerId.toString(),
      key: result.peerId.type,
      agent: result.agentVersion,
      protocols: result.protocols,
      addrs: result.listenAddrs.map(String),
      observed: result.observedAddr?.toString(),
      reused: before.has(connection)
    }
  },

  async ping (node, command, signal) {
    const begin = performance.now()
    const { remotePeer } = await connect(node, command, signal)
    const rtt = await node.services.ping.ping(remotePeer, { signal })
    return {
      event: 'pinged',
      addr: command.addr,
      rtt_ms: rtt, // js-libp2p counts whole milliseconds, of the echo alone
      total_ms: Math.round((performance.now() - begin) * 1000) / 1000 // with dial and stream negotiation
    }
  },

  async find (node, command, signal) {
    const id = idOf(command)
    let queried = 0
    for await (const event of node.services.dht.findPeer(id, { signal, useCache: command.cache === true })) {
      if (event.name === 'PEER_RESPONSE') queried++
      if (event.name === 'FINAL_PEER') {
        return {
          event: 'found',
          id: event.peer.id.toString(),
          addrs: event.peer.multiaddrs.map(String),
          via: event.from.toString(),
          queried
        }
      }
    }
    throw new Error('not found')
  },

  async closest (node, command, signal) {
    const peers = []
    let queried = 0
    for await (const event of node.services.dht.getClosestPeers(idOf(command).toMultihash().bytes, { signal })) {
      if (event.name === 'PEER_RESPONSE') queried++
      if (event.name === 'FINAL_PEER') peers.push(event.peer.id.toString())
    }
    return { event: 'closest', id: command.id, peers, queried }
  },

  async known (node, command) {
    const peer = await node.peerStore.get(idOf(command))
    return {
      event: 'known',
      id: command.id,
      protocols: peer.protocols,
      addrs: peer.addresses.map(({ multiaddr }) => multiaddr.toString()),
      signed: peer.peerRecordEnvelope !== undefined
    }
  },

  async client (node) {
    await node.services.dht.setMode('client')
    return { event: 'client' }
  },

  async peers (node) {
    const table = node.services.dht.routingTable
    return {
      event: 'peers',
      size: table.size,
      peers: [...table.kb.toIterable()].map(({ peerId }) => peerId.toString()),
      connected: node.getPeers().map(String)
    }
  }
}

async function obey (line, ready) {
  let command
  try {
    command = JSON.parse(line)
    if (command === null || typeof command !== 'object') throw new Error('not an object')
  } catch (err) {
    emit({ event: 'error', message: `bad command line: ${err.message}` })
    return
  }
  const { cmd, index, tag } = command
  if (cmd === 'exit') return finish('exit', 0)
  try {
    await ready
    if (!Object.hasOwn(commands, cmd)) throw new Error('unknown command')
    const node = nodes[index]
    if (node === undefined && !(cmd === 'start' && keys[index] !== undefined)) throw new Error(Number.isInteger(index) && index >= 0 && index < count ? 'node is stopped' : 'no such node')
    const signal = AbortSignal.timeout(command.timeout_ms ?? COMMAND_TIMEOUT_MS)
    const { event, ...answer } = await commands[cmd](node, command, signal)
    emit({ event, index, ...answer, tag })
  } catch (err) {
    emit({ event: 'error', cmd, index, message: messageOf(err), tag })
  }
}

// ---- life time

let finishing = false

async function finish (reason, code) {
  if (finishing) return
  finishing = true
  emit({ event: 'exit', reason })
  // Close connections properly, so that the other side need not wait for its idle timeout; but not for ever.
  setTimeout(() => process.exit(code), GRACE_MS)
  await Promise.allSettled(nodes.map((node) => node?.stop()))
  process.exit(code)
}

setTimeout(() => {
  const sizes = nodes.map((node) => node?.services.dht.routingTable.size ?? '-')
  warn(`hard limit of ${maxSeconds} s reached, routing tables: ${sizes.join(' ')}`)
  process.exit(3)
}, maxSeconds * 1000)
process.on('SIGTERM', () => finish('SIGTERM', 0))
process.on('SIGINT', () => finish('SIGINT', 0))

const ready = start()
ready.catch((err) => {
  if (finishing) return
  emit({ event: 'error', cmd: 'start', message: messageOf(err) })
  finish('start failed', 1)
})

createInterface({ input: process.stdin, terminal: false })
  .on('line', (line) => { if (line.trim() !== '') obey(line, ready) })
  .on('close', () => finish('stdin closed', 0))
