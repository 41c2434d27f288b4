// Display names of breeds and backends. The name of a breed that is not listed is its words in reverse order.

const BREEDS = {
  "african-wild": "African Wild Dog",
  "australian-kelpie": "Australian Kelpie",
  "australian-shepherd": "Australian Shepherd",
  "bullterrier-staffordshire": "Staffordshire Bull Terrier",
  "cattledog-australian": "Australian Cattle Dog",
  "chow": "Chow Chow",
  "cotondetulear": "Coton de Tulear",
  "danish-swedish": "Danish-Swedish Farmdog",
  "finnish-lapphund": "Finnish Lapphund",
  "german-shepherd": "German Shepherd",
  "hound-blood": "Bloodhound",
  "leonberg": "Leonberger",
  "lhasa": "Lhasa Apso",
  "mastiff-bull": "Bullmastiff",
  "mexicanhairless": "Mexican Hairless",
  "mix": "Mixed breed",
  "mountain-bernese": "Bernese Mountain Dog",
  "mountain-swiss": "Swiss Mountain Dog",
  "pointer-germanlonghair": "German Longhaired Pointer",
  "retriever-curly": "Curly-Coated Retriever",
  "retriever-flatcoated": "Flat-Coated Retriever",
  "rough-collie": "Rough Collie",
  "sharpei": "Shar-Pei",
  "shihtzu": "Shih Tzu",
  "stbernard": "St. Bernard",
  "terrier-dandie": "Dandie Dinmont Terrier",
  "terrier-kerryblue": "Kerry Blue Terrier",
  "terrier-westhighland": "West Highland Terrier",
  "waterdog-spanish": "Spanish Water Dog",
};

const BACKENDS = {
  clickhouse: "ClickHouse",
  fs: "folder",
  kafka: "Kafka",
  memory: "in memory",
  mysql: "MySQL",
  nats: "NATS",
  none: "none",
  postgres: "PostgreSQL",
  rabbitmq: "RabbitMQ",
  redis: "Redis",
  s3: "S3",
  sqlite: "SQLite",
};

export const ROLES = { storage: "Store", broker: "Broker", cache: "Cache", objects: "Objects" };

const capital = (word) => word[0].toUpperCase() + word.slice(1);

/** The display name of a breed. */
export const title = (breed) => BREEDS[breed] ?? breed.split("-").filter(Boolean).reverse().map(capital).join(" ");

/** The display name of a group of breeds with a common first word. */
export const family = (word) => capital(word);

/** The display name of a backend. */
export const backend = (name) => BACKENDS[name] ?? name;
