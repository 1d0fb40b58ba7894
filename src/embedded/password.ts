import { randomBytes } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Password {
  text: string
  /** Where it stands, readable by its owner alone. */
  file: string
}

/**
 * The password of Postgres and ClickHouse, made once and kept in the data folder. Both could run any command on
 * files of this user: without a password every other user of the machine, and any web page that posts to
 * loopback, could have them do so.
 */
export async function keepPassword(dataDir: string): Promise<Password> {
  const file = join(dataDir, 'password')
  const kept = await readFile(file, 'utf8').catch(() => undefined)
  if (kept !== undefined) return { file, text: kept }
  const text = randomBytes(18).toString('base64url')
  await writeFile(`${file}.new`, text, { mode: 0o600 })
  await rename(`${file}.new`, file)
  return { file, text }
}
