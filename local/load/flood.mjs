// Floods an address on the loopback interface with junk, and no other address.
//
//     node flood.mjs TOOLS ADDRESS REQUESTS RATE SECONDS
//
// TOOLS is where autocannon is installed, REQUESTS a file with a JSON object of bodies by their names. They are sent in turn, so
// many each second: the small ones five times, then one of the large ones, and so on. Prints how they were answered, as JSON.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const [tools, address, file, rate, seconds] = process.argv.slice(2)
const host = new URL(address).hostname
if (!['127.0.0.1', '[::1]', 'localhost'].includes(host)) {
  console.error(`${host} is no address of this machine, and no other is flooded.`)
  process.exit(1)
}
const autocannon = createRequire(`${tools}/`)('autocannon')
const bodies = Object.values(JSON.parse(readFileSync(file, 'utf8')))
const small = bodies.filter((body) => body.length < 10_000)
const large = bodies.filter((body) => body.length >= 10_000)
const requests = large.flatMap((one) => [...Array(5).fill(small).flat(), one]).map((body) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body
}))
const result = await autocannon({
  url: address,
  connections: 50,
  overallRate: Number(rate),
  duration: Number(seconds),
  timeout: 10,
  requests
})
const { statusCodeStats, errors, timeouts, latency } = result
const answers = Object.fromEntries(Object.entries(statusCodeStats).map(([status, { count }]) => [status, count]))
console.log(JSON.stringify({ sent: result.requests.sent, answers, errors, timeouts, milliseconds: { median: latency.p50, p99: latency.p99, slowest: latency.max } }))
