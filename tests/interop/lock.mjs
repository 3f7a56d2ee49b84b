// Writes package-lock.json anew: `node lock.mjs`. Needed only when a version in package.json changes.
//
// @chainsafe/libp2p-quic names native packages for seven platforms as optional dependencies. The registry does not have
// all of them in this version; `npm install` leaves those out of the lock file and `npm ci` then refuses that lock file
// ("Missing: …@ from lock file", https://github.com/npm/cli/issues/9846). They are for other platforms, never installed
// here, so an entry with version and platform, but no integrity, is enough for `npm ci`.
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'

const FILE = 'package-lock.json'
process.chdir(import.meta.dirname)
rmSync(FILE, { force: true })
rmSync('node_modules', { recursive: true, force: true }) // npm would lock what is installed
execFileSync('npm', ['install', '--package-lock-only', '--no-audit', '--no-fund'], { stdio: 'inherit' })

const lock = JSON.parse(readFileSync(FILE, 'utf8'))
for (const { optionalDependencies = {} } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const key = `node_modules/${name}`
    if (lock.packages[key] !== undefined) continue
    const match = /-(darwin|linux|win32)-(arm64|x64)(?:-(gnu|musl|msvc))?$/.exec(name)
    if (match === null || !/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`no entry for ${name}@${version}`)
    const [, os, cpu, abi] = match
    if (os === process.platform && cpu === process.arch && abi !== 'musl') throw new Error(`${name}@${version} is needed here`)
    lock.packages[key] = {
      version,
      cpu: [cpu],
      ...(os === 'linux' ? { libc: [abi === 'musl' ? 'musl' : 'glibc'] } : {}),
      optional: true,
      os: [os]
    }
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')))
if (JSON.stringify(lock).includes('"resolved"')) throw new Error('the lock file records download addresses')
writeFileSync(FILE, JSON.stringify(lock, null, 2) + '\n')
