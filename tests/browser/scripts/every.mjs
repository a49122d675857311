// The pages that there are.
import { open } from './browser.mjs'

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

/// All pages that an administrator may see, by the names of their pictures.
export const every = async (page) => {
  const all = { ...pages }
  for (const [name, [target, link]] of Object.entries(led)) {
    await open(page, target)
    const href = await page.locator(link).first().getAttribute('href')
    all[name] = href.replace(/^\/ui/, '')
  }
  return all
}
