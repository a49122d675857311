// Every page in one language: light and dark, on a desktop and on a phone; pictures of them, and no barriers.
import { barriers, browse, holds, is, open, picture, session, signIn } from './browser.mjs'

const lang = process.env.WHARF_LANG

/// The pages, by the names of their pictures.
const pages = {
  repositories: '/',
  'repositories-flat': '/?view=flat',
  'repositories-none': '/?q=nothing-has-this-name',
  search: '/search?q=app',
  tags: '/repo/team/app',
  'tags-many': '/repo/greet-python',
  'tags-untagged': '/repo/team/app?untagged=1',
  image: '/image/team/app:latest',
  index: '/image/team/app:multi',
  chart: '/image/team/app:chart',
  history: '/history/team/app:latest',
  compare: '/compare/team/app?from=latest&to=1.0',
  'delete-tags': '/delete/team/app?tag=1.0&tag=1.1',
  'delete-repository': '/delete/team/app?everything=1',
  trash: '/trash',
  collection: '/collection',
  retention: '/retention',
  checks: '/checks',
  disk: '/disk',
  traffic: '/traffic',
  activity: '/activity',
  users: '/users',
  'user-password': '/users/password?name=bob',
  tokens: '/tokens',
  rules: '/rules',
  certificates: '/certificates',
  connect: '/connect',
  config: '/config?all=1',
  servers: '/servers',
  account: '/account',
  keys: '/keys',
}

/// Pages with addresses that stand on other pages.
const led = {
  files: ['/image/team/app:latest', 'a[href*="/files/"]'],
  rollback: ['/history/team/app:latest', 'a[href*="/rollback/"]'],
  'trash-record': ['/trash', 'main td a[href*="/trash/"], main th a[href*="/trash/"]'],
}

/// The most bytes of a page, as they are sent.
const LARGEST = 40 * 1024

const POLICY = ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]

await browse(async (browser) => {
  const first = await session(browser, { locale: lang, viewport: { width: 1440, height: 900 } })
  await first.page.goto(`${process.env.WHARF_URL}/ui/sign-in`)
  await picture(first.page, lang, 'sign-in.light.1440')
  await barriers(first.page, 'sign-in')
  await signIn(first.page, 'alice')
  for (const [name, [target, link]] of Object.entries(led)) {
    await open(first.page, target)
    const href = await first.page.locator(link).first().getAttribute('href')
    pages[name] = href.replace(/^\/ui/, '')
  }
  const storageState = await first.context.storageState()
  for (const [width, height] of [[1440, 900], [360, 780]]) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, context } = await session(browser, {
        locale: lang, colorScheme, storageState, viewport: { width, height }, hasTouch: width < 700, expected: ['404'],
      })
      for (const [name, target] of Object.entries(pages)) {
        const where = `${name} (${lang}, ${colorScheme}, ${width})`
        const answer = await open(page, target)
        const policy = answer.headers()['content-security-policy'] ?? ''
        for (const part of POLICY) holds(`${where}: the policy has ${part}`, policy.includes(part))
        holds(`${where}: no script or style is inline`, !/unsafe|nonce|sha256/.test(policy))
        is(`${where}: caches`, answer.headers()['cache-control'], 'no-store')
        const { responseBodySize } = await answer.request().sizes()
        holds(`${where}: ${responseBodySize} bytes`, responseBodySize < LARGEST)
        is(`${where}: the language`, await page.evaluate(() => document.documentElement.lang), lang)
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
        holds(`${where}: ${overflow} px wider than the screen`, overflow <= 0)
        await picture(page, lang, `${name}.${colorScheme}.${width}`)
        await barriers(page, where)
      }
      await open(page, '/repo/there/is/none', 404)
      await picture(page, lang, `not-found.${colorScheme}.${width}`)
      await barriers(page, `not-found (${lang})`)
      await context.close()
    }
  }
})
