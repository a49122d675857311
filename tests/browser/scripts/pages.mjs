// Every page in one language: light and dark, on a desktop and on a phone; pictures of them, and no barriers.
import { barriers, browse, holds, is, open, picture, session, signIn, steady } from './browser.mjs'
import { every } from './every.mjs'

const lang = process.env.WHARF_LANG

/// The most bytes of a page, as they are sent.
const LARGEST = 40 * 1024

const POLICY = ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]

await browse(async (browser) => {
  const first = await session(browser, { locale: lang, viewport: { width: 1440, height: 900 } })
  await first.page.goto(`${process.env.WHARF_URL}/ui/sign-in`)
  await picture(first.page, lang, 'sign-in.light.1440')
  await barriers(first.page, 'sign-in')
  await signIn(first.page, 'alice')
  const pages = await every(first.page)
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
        await steady(page, where)
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
