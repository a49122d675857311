// The interface of another project, from another origin, with a password: it lists and deletes.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { browse, fail, is, until, url } from './browser.mjs'

const folder = path.join(process.env.WHARF_MODULES, '..', 'joxit', 'dist')
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml' }
const values = {
  REGISTRY_URL: url, DELETE_IMAGES: 'true', SINGLE_REGISTRY: 'true', CATALOG_ELEMENTS_LIMIT: '1000', SHOW_CONTENT_DIGEST: 'true',
  REGISTRY_SECURED: 'false', TAGLIST_PAGE_SIZE: '100', ENABLE_VERSION_NOTIFICATION: 'false', CATALOG_DEFAULT_EXPANDED: 'true', THEME: 'light',
}

const server = createServer(async (request, response) => {
  const name = request.url.split('?')[0].replace(/^\/$/, '/index.html')
  try {
    let body = await readFile(path.join(folder, path.normalize(name)))
    if (name.endsWith('.html')) body = body.toString().replace(/\$\{(\w+)\}/g, (_, key) => values[key] ?? '')
    response.setHeader('content-type', types[path.extname(name)] ?? 'application/octet-stream')
    response.end(body)
  } catch {
    response.statusCode = 404
    response.end()
  }
})
await new Promise((resume) => server.listen(Number(process.env.WHARF_UI_PORT), '127.0.0.1', resume))

await browse(async (browser) => {
  const preflight = await fetch(`${url}/v2/_catalog`, {
    method: 'OPTIONS',
    headers: { origin: `http://127.0.0.1:${process.env.WHARF_UI_PORT}`, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' },
  })
  is('a preflight without a password', preflight.status, 204)
  const context = await browser.newContext({ httpCredentials: { username: 'alice', password: 'pw' } })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  page.on('pageerror', (error) => fail(`${error}`))
  await page.goto(`http://127.0.0.1:${process.env.WHARF_UI_PORT}/`)
  await until('the repositories are listed', async () => (await page.locator('body').innerText()).includes('greet'))
  await page.goto(`http://127.0.0.1:${process.env.WHARF_UI_PORT}/#!taglist/greet`)
  await until('the tags are listed', async () => /\b1\.1\b/.test(await page.locator('body').innerText()))
  await until('sizes are shown', async () => /\d\s?(B|KB|KiB|bytes)\b/i.test(await page.locator('body').innerText()))
  await page.locator('remove-image button:not([disabled])').first().click()
  await page.locator('confirm-delete-image .material-popup-action button').filter({ hasText: /delete/i }).click()
  await until('a tag is gone', async () => {
    const answer = await fetch(`${url}/v2/greet/tags/list`, { headers: { authorization: `Basic ${Buffer.from('alice:pw').toString('base64')}` } })
    return ((await answer.json()).tags ?? []).length < 2
  })
  server.close()
})
