// Every page over a slow line, as it comes in pieces: what is seen once stays where it is, also when the scripts start.
import { createServer, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { browse, open, session, signIn, steady, url } from './browser.mjs'
import { every } from './every.mjs'

/// The bytes of a piece, and the milliseconds from one to the next: a frame of the screen.
const PIECE = 2048
const FRAME = 16

/// The milliseconds that a script is late.
const LATE = 100

/// Hands requests on to the registry, and its answers back in pieces.
const line = createServer((asked, answer) => {
  const headers = { ...asked.headers, 'accept-encoding': 'identity' }
  const onward = request(url + asked.url, { method: asked.method, headers }, async (from) => {
    // A script comes when the page has been seen, also for the second page.
    const { pathname } = new URL(asked.url, url)
    if (pathname.endsWith('.js')) {
      from.headers['cache-control'] = 'no-store'
      await pause(LATE)
    }
    answer.writeHead(from.statusCode, from.headers)
    for await (const bytes of from) {
      for (let at = 0; at < bytes.length; at += PIECE) {
        answer.write(bytes.subarray(at, at + PIECE))
        await pause(FRAME)
      }
    }
    answer.end()
  })
  asked.pipe(onward)
})
await new Promise((resume) => line.listen(0, '127.0.0.1', resume))
const host = `http://127.0.0.1:${line.address().port}`

await browse(async (browser) => {
  const { page, context } = await session(browser)
  await signIn(page, 'alice')
  const pages = await every(page)
  const storageState = await context.storageState()
  for (const [width, height] of [[1440, 900], [360, 780]]) {
    const { page, context } = await session(browser, { host, storageState, viewport: { width, height } })
    for (const [name, target] of Object.entries(pages)) {
      await open(page, target, 200, host)
      await steady(page, `${name} (${width})`)
    }
    await context.close()
  }
})
