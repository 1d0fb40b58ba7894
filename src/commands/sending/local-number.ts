/** Which of the two parts the decimals, where a number can be read either way. */
export type DecimalMark = ',' | '.'

/**
 * A number as spreadsheets write it, in the one form of JSON; undefined for what is none. One mark with three digits
 * behind it parts thousands in one country and decimals in the next: that is `AmbiguousNumber` unless `decimal` says.
 */
export const plainNumber = (
  cell: string,
  decimal: DecimalMark | undefined,
): string | AmbiguousNumber | undefined => {
  const text = cell.trim().replaceAll(/[\u00A0\u202F ]/g, '')
  const mark = /^-?[1-9]\d{0,2}([.,])\d{3}$/.exec(text)?.[1]
  if (mark !== undefined) {
    const asDecimal = text.replace(',', '.')
    const asThousands = text.replace(mark, '')
    if (decimal === undefined) return new AmbiguousNumber(text, asDecimal, asThousands)
    return mark === decimal ? asDecimal : asThousands
  }
  if (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return text
  if (/^-?\d+,\d+$/.test(text)) return text.replace(',', '.')
  if (/^-?\d{1,3}(,\d{3})+(\.\d+)?$/.test(text)) return text.replaceAll(',', '')
  if (/^-?\d{1,3}(\.\d{3})+(,\d+)?$/.test(text)) return text.replaceAll('.', '').replace(',', '.')
  return undefined
}

/** Stands in the data of an event that is not sent. */
export class AmbiguousNumber {
  readonly #text: string
  readonly #asDecimal: string
  readonly #asThousands: string

  constructor(text: string, asDecimal: string, asThousands: string) {
    this.#text = text
    this.#asDecimal = asDecimal
    this.#asThousands = asThousands
  }

  get detail(): string {
    return (
      `${this.#text} is ${this.#asDecimal} or ${this.#asThousands}; --decimal , or --decimal . says which of the two ` +
      'parts the decimals in this file: send it once more with that'
    )
  }

  /** No number to anybody: rejects that are sent without having been mended must not be taken for one of the two. */
  toJSON(): string {
    return `${this.#asDecimal} or ${this.#asThousands}`
  }
}
