/**
 * A number as spreadsheets write it, in the one form of JSON; undefined for what is none. In a file whose cells
 * are parted by semicolons the comma is the decimal mark.
 */
export const plainNumber = (cell: string, delimiter: string): string | undefined => {
  const text = cell.trim().replaceAll(/[\u00A0\u202F ]/g, '')
  if (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return text
  if (delimiter === ';' && /^-?\d{1,3}(\.\d{3}){2,}$/.test(text)) return text.replaceAll('.', '')
  if (delimiter !== ';' && /^-?\d{1,3}(,\d{3})+(\.\d+)?$/.test(text)) return text.replaceAll(',', '')
  if (/^-?\d{1,3}(\.\d{3})+(,\d+)?$/.test(text)) return text.replaceAll('.', '').replace(',', '.')
  if (/^-?\d+,\d+$/.test(text)) return text.replace(',', '.')
  return undefined
}
