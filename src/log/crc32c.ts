/**
 * CRC-32C (Castagnoli), as record batches carry it: slicing by 8. `zlib.crc32` uses another polynomial.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let crc = -1
  let at = start
  for (const stop = end - 7; at < stop; at += 8) {
    crc =
      TABLE[1792 + (bytes[at]! ^ (crc & 0xff))]! ^
      TABLE[1536 + (bytes[at + 1]! ^ ((crc >>> 8) & 0xff))]! ^
      TABLE[1280 + (bytes[at + 2]! ^ ((crc >>> 16) & 0xff))]! ^
      TABLE[1024 + (bytes[at + 3]! ^ (crc >>> 24))]! ^
      TABLE[768 + bytes[at + 4]!]! ^
      TABLE[512 + bytes[at + 5]!]! ^
      TABLE[256 + bytes[at + 6]!]! ^
      TABLE[bytes[at + 7]!]!
  }
  for (; at < end; at++) crc = TABLE[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

// Row n is what a byte contributes once n more zero bytes have passed through the register.
const TABLE = (() => {
  const table = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    table[byte] = crc
  }
  for (let at = 256; at < table.length; at++) {
    const before = table[at - 256]!
    table[at] = (before >>> 8) ^ table[before & 0xff]!
  }
  return table
})()
