import type { Random } from './random.ts'

export interface Person {
  readonly firstName: string
  readonly lastName: string
  readonly company: string
  readonly email: string
  readonly currency: 'EUR' | 'GBP' | 'USD'
}

/** Somebody from somewhere. `example` is a domain that nobody owns, so that no mail can reach anyone. */
export const person = (random: Random, n: number): Person => {
  const country = random.weighted(countries)
  const firstName = random.pick(country.first)
  const lastName = random.pick(country.last)
  const company = `${random.pick(names)} ${random.pick(country.trades)}`
  return {
    firstName,
    lastName,
    company,
    email: emailOf(firstName, lastName, company, n),
    currency: country.currency,
  }
}

export const emailOf = (firstName: string, lastName: string, company: string, n: number): string =>
  `${ascii(firstName)}.${ascii(lastName)}.${n}@${ascii(company)}.example`

const ascii = (text: string): string =>
  text
    .replaceAll('ß', 'ss')
    .replaceAll('ł', 'l')
    .replaceAll('ø', 'o')
    .normalize('NFD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/-$/, '')

const names = [
  'Norte',
  'Aurora',
  'Vertex',
  'Blue Harbour',
  'Quercus',
  'Lumen',
  'Kestrel',
  'Terra',
  'Polaris',
  'Delta',
  'Arbor',
  'Nimbus',
  'Faro',
  'Halcyon',
]

const countries = [
  {
    weight: 20,
    currency: 'EUR',
    first: ['María', 'José', 'Lucía', 'Álvaro', 'Carmen', 'Iñaki', 'Núria', 'Pablo'],
    last: ['García', 'Fernández', 'López', 'Martínez', 'Peña', 'Ibáñez', 'Muñoz', 'Serra'],
    trades: ['Logística', 'Formación', 'Energía', 'Salud'],
  },
  {
    weight: 18,
    currency: 'EUR',
    first: ['Anna', 'Jürgen', 'Katrin', 'Björn', 'Sabine', 'Lukas', 'Zoë', 'Matthias'],
    last: ['Müller', 'Schäfer', 'Weiß', 'Krüger', 'Vogt', 'Groß', 'Brandt', 'Köhler'],
    trades: ['Maschinenbau GmbH', 'Logistik AG', 'Bildung GmbH', 'Energie GmbH'],
  },
  {
    weight: 14,
    currency: 'EUR',
    first: ['Chloé', 'François', 'Hélène', 'Mathieu', 'Océane', 'Rémi', 'Inès', 'Théo'],
    last: ['Lefèvre', 'Moreau', 'Bérard', 'Dubois', 'Noël', 'Garnier', 'Chevalier', "D'Arcy"],
    trades: ['Conseil SARL', 'Études', 'Énergie SA', 'Santé'],
  },
  {
    weight: 16,
    currency: 'GBP',
    first: ['Oliver', 'Amelia', 'Harriet', 'Rhys', 'Priya', 'Callum', 'Siobhán', 'George'],
    last: ['Smith', "O'Neill", 'Hughes', 'Patel', 'Clarke', 'Fraser', 'Bennett', 'Okafor'],
    trades: ['Logistics Ltd', 'Training Ltd', 'Health plc', 'Analytics Ltd'],
  },
  {
    weight: 18,
    currency: 'USD',
    first: ['James', 'Maya', 'Ethan', 'Sofia', 'Tyrone', 'Emily', 'Diego', 'Grace'],
    last: ['Johnson', 'Nguyen', 'Rodriguez', 'Miller', 'Washington', 'Kim', 'Cohen', 'Carter'],
    trades: ['Inc.', 'Labs', 'Health', 'Systems'],
  },
  {
    weight: 6,
    currency: 'USD',
    first: ['Aarav', 'Ananya', 'Rohan', 'Divya', 'Kabir', 'Meera'],
    last: ['Sharma', 'Iyer', 'Reddy', 'Banerjee', 'Kulkarni', 'Singh'],
    trades: ['Technologies', 'Learning', 'Exports', 'Pharma'],
  },
  {
    weight: 8,
    currency: 'EUR',
    first: ['Łukasz', 'Agnieszka', 'Søren', 'Åsa', 'Zdeněk', 'Jiří', 'Elif', 'Çağla'],
    last: ['Wiśniewski', 'Kowalczyk', 'Østergaard', 'Sjöberg', 'Dvořák', 'Novák', 'Yılmaz', 'Şahin'],
    trades: ['Nordic', 'Systems', 'Akademie', 'Group'],
  },
] as const
