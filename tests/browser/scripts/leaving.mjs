// Signing in and out in a real browser: the cookie, what the back button shows afterwards, the list of one's browsers, and forms of
// another origin.
import { browse, fail, holds, is, open, session, signIn, until, url } from './browser.mjs'

const cookieOf = async (context) => (await context.cookies()).find((cookie) => cookie.name.endsWith('wharf'))

await browse(async (browser) => {
  const { page, context } = await session(browser, { expected: ['401', '403'] })

  // Whatever cookie is there before, signing in gives another one (fixation).
  const planted = 'A'.repeat(43)
  await context.addCookies([{ name: 'wharf', value: planted, url }])
  await signIn(page, 'alice')
  const cookie = await cookieOf(context)
  holds('a planted cookie stayed', cookie.value !== planted)
  holds('scripts can read the cookie', cookie.httpOnly && !(await page.evaluate(() => document.cookie)).includes('wharf='))
  is('the cookie goes with requests of', cookie.sameSite, 'Lax')
  const hours = (cookie.expires - Date.now() / 1000) / 3600
  holds(`the cookie lasts ${hours} hours`, hours > 11.9 && hours <= 12)

  // A page of another origin sends no form, although the browser is signed in.
  await open(page, '/users')
  const proof = await page.locator('main form input[name=csrf]').first().getAttribute('value')
  const other = await context.newPage()
  await other.setContent(`<form method="post" action="${url}/ui/users"><input name="csrf" value="${proof}">
    <input name="name" value="mallory"><input name="password" value="a good password"><button>Win</button></form>`)
  const [refused] = await Promise.all([other.waitForResponse((answer) => answer.request().method() === 'POST'), other.locator('button').click()])
  is('a form of another origin', refused.status(), 403)
  await other.close()
  await open(page, '/users')
  holds('a form of another origin added a user', !(await page.locator('main').innerText()).includes('mallory'))

  // Another browser of the account is listed, and signed out from here.
  const second = await session(browser)
  await signIn(second.page, 'alice')
  await open(page, '/account')
  const rows = page.locator('section[aria-labelledby=sessions] tbody tr')
  await until('both browsers are listed', async () => {
    await page.reload()
    return (await rows.count()) >= 2
  })
  const others = rows.filter({ hasNotText: 'this browser' })
  const before = await rows.count()
  await Promise.all([page.waitForNavigation(), others.first().locator('button').click()])
  is('browsers that are left', await rows.count(), before - 1)

  // After signing out the back button shows nothing of the account.
  for (const target of ['/activity', '/users', '/account']) await open(page, target)
  await Promise.all([page.waitForNavigation(), page.locator('main form[action$="/account/sessions"] button').first().click()])
  holds(`after signing out: ${page.url()}`, page.url().endsWith('/ui/sign-in'))
  is('the cookie after signing out', await cookieOf(context), undefined)
  for (let step = 1; step <= 4; step += 1) {
    await page.goBack().catch((error) => fail(`back: ${error}`))
    const text = await page.locator('body').innerText()
    for (const secret of ['alice', 'bob', 'administrator']) {
      holds(`${step} back shows ${secret} at ${page.url()}`, !text.includes(secret))
    }
  }
  // The same for a browser that was signed out from elsewhere: its next page asks to sign in.
  await second.page.goto(`${url}/ui/users`)
  holds(`signed out everywhere: ${second.page.url()}`, second.page.url().includes('/ui/sign-in'))
})
