// Reading and deleting with scripts switched off.
import { browse, holds, is, open, session, signIn, url } from './browser.mjs'

await browse(async (browser) => {
  const { page } = await session(browser, { javaScriptEnabled: false })
  await signIn(page, 'alice')
  await open(page, '/')
  holds('the repositories', (await page.locator('#repositories').innerText()).includes('greet-python'))
  await page.locator('.tools input[type=search]').fill('greet-go')
  await Promise.all([page.waitForNavigation(), page.locator('.tools button').first().click()])
  is('filtered by the server', await page.locator('#repositories [data-text]').count(), 1)
  await open(page, '/image/team/app:latest')
  holds('an image', (await page.locator('main').innerText()).includes('sha256:'))

  await open(page, '/repo/team/web')
  await page.locator('input[name=tag][value="1.1"]').check()
  await Promise.all([page.waitForNavigation(), page.locator('.select-bar button').click()])
  holds('the plan', (await page.locator('main').innerText()).includes('1.1'))
  await Promise.all([page.waitForNavigation(), page.locator('main form button.danger').click()])
  const tags = async () => {
    const authorization = `Basic ${Buffer.from('alice:pw').toString('base64')}`
    const answer = await page.request.get(`${url}/v2/team/web/tags/list`, { headers: { authorization } })
    return (await answer.json()).tags
  }
  is('what is left', await tags(), ['1.0'])
  holds('the notice', (await page.locator('[role=status]').count()) === 1)
  await Promise.all([page.waitForNavigation(), page.locator('[role=status] button').click()])
  is('undone', await tags(), ['1.0', '1.1'])

  await Promise.all([page.waitForNavigation(), page.locator('button[name=theme][value=dark]').click()])
  is('the theme', await page.locator('html').getAttribute('data-theme'), 'dark')
  await Promise.all([page.waitForNavigation(), page.locator('button[name=lang][value=ru]').click()])
  is('the language', await page.locator('html').getAttribute('lang'), 'ru')
  await open(page, '/repo/team/app')
  for (const part of await page.locator('.js-only').all()) holds('what needs scripts is not shown', !(await part.isVisible()))
})
