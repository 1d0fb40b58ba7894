/** Where leads come from is compared and grouped: "Google Ads" and "GOOGLE_ADS" are the same. */
export const sourceName = (text: string | undefined): string | undefined => {
  const plain = text
    ?.toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '-')
    .replaceAll(/^-+|-+$/g, '')
  return plain === '' ? undefined : plain
}
