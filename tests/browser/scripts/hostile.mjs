// What the registry stores is text on every page, and nothing that runs where it is opened itself.
import { browse, fail, holds, is, open, session, signIn, url } from './browser.mjs'

const pages = ['/', '/?view=flat', '/search?q=document', '/repo/evil', '/repo/evil?untagged=1', '/image/evil:1', '/image/evil:page', '/history/evil:1', '/activity', '/delete/evil?everything=1', '/compare/evil?from=1&to=page']

const crafted = [
  '/search?q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E',
  '/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E',
  '/repo/evil?match=%3Csvg/onload%3Dalert(1)%3E',
  '/activity?account=%3Cscript%3Ealert(1)%3C/script%3E',
  '/config?match=%22%20autofocus%20onfocus%3Dalert(1)%20x%3D%22',
  '/rules?account=%3Cb%3E&action=pull&repository=evil',
]

const inert = async (page, where) => {
  is(`${where}: something ran`, await page.evaluate(() => document.body.dataset.run ?? ''), '')
  const found = await page.evaluate(() => ({
    handlers: [...document.querySelectorAll('*')].filter((node) => [...node.attributes].some(({ name }) => /^on/.test(name))).length,
    scripts: [...document.scripts].filter((script) => !script.src).length,
    strange: [...document.querySelectorAll('main img, main iframe, main object, main embed, main base, main meta, [style]')].length,
    links: [...document.links].map((link) => link.protocol).filter((protocol) => !/^https?:$/.test(protocol)),
    hidden: /[\u200b\u202a-\u202e\u2066-\u2069]/.test([...document.querySelectorAll('main')].map((node) => node.textContent).join('')),
  }))
  is(`${where}: handlers`, found.handlers, 0)
  is(`${where}: scripts without a source`, found.scripts, 0)
  is(`${where}: elements that pages do not have`, found.strange, 0)
  is(`${where}: links`, found.links, [])
  holds(`${where}: characters that reorder text`, !found.hidden)
}

await browse(async (browser) => {
  const { page, context } = await session(browser, { expected: ['400', '404', '403'] })
  await signIn(page, 'alice')
  for (const target of pages) {
    await open(page, target)
    await inert(page, target)
  }
  for (const target of crafted) {
    const answer = await page.goto(`${url}/ui${target}`)
    holds(`${target}: ${answer.status()}`, [200, 400].includes(answer.status()))
    await inert(page, target)
  }
  await open(page, '/image/evil:1')
  const size = (await page.content()).length
  holds(`a page of ${size} characters`, size < 600_000)

  // Blobs and manifests of an image, as a browser opens them.
  const authorization = `Basic ${Buffer.from('alice:pw').toString('base64')}`
  const tags = await context.request.get(`${url}/v2/evil/manifests/page`, { headers: { authorization, accept: '*/*' } })
  const { layers } = await tags.json()
  const opened = await session(browser, { extraHTTPHeaders: { authorization }, expected: ['sandbox', '404'] })
  for (const target of [`/v2/evil/blobs/${layers[0].digest}`, '/v2/evil/manifests/page']) {
    const answer = await opened.context.request.get(`${url}${target}`, { headers: { authorization, accept: 'text/html' } })
    const headers = answer.headers()
    is(`${target}: sniffing`, headers['x-content-type-options'], 'nosniff')
    holds(`${target}: ${headers['content-security-policy']}`, (headers['content-security-policy'] ?? '').includes('sandbox'))
    const downloaded = opened.page.waitForEvent('download', { timeout: 5_000 }).catch(() => null)
    const shown = await opened.page.goto(`${url}${target}`).catch(() => null)
    if (!(await downloaded) && shown) holds(`${target}: it ran`, (await opened.page.title()) !== 'run')
  }

  // A page of another origin can neither frame ours nor send its forms.
  const other = await session(browser, { expected: ['frame', 'refused', 'ERR_BLOCKED', 'Failed to load'] })
  await other.context.addCookies(await context.cookies())
  await other.page.setContent(`<iframe src="${url}/ui/"></iframe>`)
  await other.page.waitForTimeout(500)
  const framed = other.page.frames().slice(1)
  for (const frame of framed) {
    const text = await frame.locator('body').innerText({ timeout: 2_000 }).catch(() => '')
    if (text.includes('evil')) fail('a page of another origin frames ours')
  }
})
