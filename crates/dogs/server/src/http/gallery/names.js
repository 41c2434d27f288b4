// What people call breeds and parts. A breed that is not listed is called by its words, the last one first.

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

const PARTS = {
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

/** The breed as people call it. */
export const title = (breed) => BREEDS[breed] ?? breed.split("-").filter(Boolean).reverse().map(capital).join(" ");

/** A group of breeds, by the word that they share. */
export const family = (word) => capital(word);

/** The adapter as its makers call it. */
export const part = (name) => PARTS[name] ?? name;
