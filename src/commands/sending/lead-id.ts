import { digest } from './content-id.ts'

/**
 * The leadId of a mail address: the same for the same address, whatever export it stands in and however it is
 * written there, and one-way. Without a secret whoever has a list of addresses can try them out; with one,
 * only who has the secret as well.
 */
export const leadIdOfAddress = (address: string, secret: string | undefined): string =>
  `lead-${digest(address.trim().toLowerCase().normalize('NFC'), secret).slice(0, 32)}`

export const isAddress = (text: string): boolean => /^[^\s@<>,;]+@[^\s@<>,;]+$/.test(text.trim())
