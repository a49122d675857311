// Keys: to the search, through rows, to pages; and all that a pointer reaches.
import { browse, holds, is, open, session, signIn, until } from './browser.mjs'

const focused = (page) => page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent?.trim())

await browse(async (browser) => {
  const { page } = await session(browser, { viewport: { width: 1200, height: 900 } })
  await signIn(page, 'alice')
  await open(page, '/repo/team/app')
  await page.keyboard.press('Tab')
  is('first the way past the navigation', await page.evaluate(() => document.activeElement.className), 'skip')
  await page.keyboard.press('Enter')
  is('the content', await page.evaluate(() => document.activeElement.id), 'content')

  await page.keyboard.press('/')
  is('the search', await focused(page), 'find')
  await page.keyboard.type('greet')
  await until('hits are shown', async () => (await page.locator('#found [role=option], #found a, #found li').count()) > 0)
  await page.keyboard.press('ArrowDown')
  holds('a hit is active', await page.locator('#find').getAttribute('aria-activedescendant'))
  await page.keyboard.press('Escape')
  await page.keyboard.press('Escape')
  await page.evaluate(() => document.activeElement.blur())

  await page.keyboard.press('j')
  const first = await focused(page)
  await page.keyboard.press('j')
  const second = await focused(page)
  holds(`rows: ${first}, ${second}`, first && second && first !== second)
  await page.keyboard.press('g')
  await page.keyboard.press('t')
  await page.waitForURL('**/ui/trash')

  await open(page, '/repo/team/app')
  const all = await page.evaluate(() => {
    const reachable = 'a[href], button, input:not([type=hidden]), select, textarea, summary'
    return [...document.querySelectorAll(reachable)].filter((node) => node.tabIndex < 0 && node.offsetParent && !node.disabled).length
  })
  is('what a pointer reaches and the keyboard does not', all, 0)
  await page.keyboard.press('Tab')
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
  holds('the focus is seen', outline !== 'none')
})
