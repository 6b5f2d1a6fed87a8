/* librdkafka from Debian, in C: the library under many clients, one release line older than the
 * one that confluent-kafka brings. The line protocol is described in repl.py. */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 60000
#define FIELDS 8

static const char *bootstrap;
static char failure[1024];
static rd_kafka_t *admin;

static int fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(failure, sizeof failure, format, arguments);
  va_end(arguments);
  return -1;
}

static int64_t now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* Splits at tabs, empty fields included; returns how many there are. */
static int split(char *line, char separator, char **fields, int most) {
  char separators[2] = {separator, 0};
  int count = 0;
  while (line != NULL && count < most) fields[count++] = strsep(&line, separators);
  return count;
}

struct bytes {
  unsigned char *at; /* NULL for a null */
  size_t size;
};

static unsigned char digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static struct bytes from_hex(const char *text) {
  struct bytes bytes = {NULL, 0};
  if (strcmp(text, "-") == 0) return bytes;
  bytes.size = strlen(text) / 2;
  bytes.at = malloc(bytes.size + 1);
  for (size_t i = 0; i < bytes.size; i++)
    bytes.at[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
  return bytes;
}

static void print_hex(FILE *out, const void *bytes, size_t size) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *at = bytes;
  if (at == NULL) {
    fputc('-', out);
    return;
  }
  for (size_t i = 0; i < size; i++) {
    fputc(digits[at[i] >> 4], out);
    fputc(digits[at[i] & 15], out);
  }
}

/* `settings` are name, value, …, NULL. */
static rd_kafka_t *client(rd_kafka_type_t type, void (*delivered)(rd_kafka_t *,
    const rd_kafka_message_t *, void *), void (*rebalanced)(rd_kafka_t *, rd_kafka_resp_err_t,
    rd_kafka_topic_partition_list_t *, void *), ...) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, failure, sizeof failure);
  va_list settings;
  va_start(settings, rebalanced);
  for (const char *name; (name = va_arg(settings, const char *)) != NULL;)
    if (rd_kafka_conf_set(conf, name, va_arg(settings, const char *), failure, sizeof failure)) {
      va_end(settings);
      return NULL;
    }
  va_end(settings);
  if (delivered != NULL) rd_kafka_conf_set_dr_msg_cb(conf, delivered);
  if (rebalanced != NULL) rd_kafka_conf_set_rebalance_cb(conf, rebalanced);
  rd_kafka_t *handle = rd_kafka_new(type, conf, failure, sizeof failure);
  if (handle != NULL && type == RD_KAFKA_CONSUMER) rd_kafka_poll_set_consumer(handle);
  return handle;
}

static int await(rd_kafka_queue_t *queue, const char *what) {
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
  if (event == NULL) return fail("%s: no answer", what);
  size_t count = 0;
  const rd_kafka_topic_result_t **results = NULL;
  if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
    results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(event), &count);
  else
    results = rd_kafka_DeleteTopics_result_topics(
        rd_kafka_event_DeleteTopics_result(event), &count);
  int outcome = 0;
  if (rd_kafka_event_error(event))
    outcome = fail("%s: %s", what, rd_kafka_event_error_string(event));
  else if (count == 1 && rd_kafka_topic_result_error(results[0]))
    outcome = fail("%s: %s", what, rd_kafka_err2name(rd_kafka_topic_result_error(results[0])));
  rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  return outcome;
}

static int create(char **fields) {
  rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
  rd_kafka_NewTopic_t *topic =
      rd_kafka_NewTopic_new(fields[1], atoi(fields[2]), 1, failure, sizeof failure);
  rd_kafka_CreateTopics(admin, &topic, 1, NULL, queue);
  rd_kafka_NewTopic_destroy(topic);
  return await(queue, "create");
}

static int delete(char **fields) {
  rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
  rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(fields[1]);
  rd_kafka_DeleteTopics(admin, &topic, 1, NULL, queue);
  rd_kafka_DeleteTopic_destroy(topic);
  return await(queue, "delete");
}

static int topics(char **fields) {
  (void)fields;
  const struct rd_kafka_metadata *metadata;
  rd_kafka_resp_err_t error = rd_kafka_metadata(admin, 1, NULL, &metadata, PATIENCE_MS);
  if (error) return fail("metadata: %s", rd_kafka_err2name(error));
  for (int i = 0; i < metadata->topic_cnt; i++) printf("topic\t%s\n", metadata->topics[i].topic);
  rd_kafka_metadata_destroy(metadata);
  return 0;
}

static int partition_count(const char *name) {
  const struct rd_kafka_metadata *metadata;
  rd_kafka_topic_t *topic = rd_kafka_topic_new(admin, name, NULL);
  rd_kafka_resp_err_t error = rd_kafka_metadata(admin, 0, topic, &metadata, PATIENCE_MS);
  rd_kafka_topic_destroy(topic);
  if (error) return fail("metadata: %s", rd_kafka_err2name(error));
  int count = metadata->topics[0].partition_cnt;
  if (metadata->topics[0].err)
    count = fail("metadata: %s", rd_kafka_err2name(metadata->topics[0].err));
  rd_kafka_metadata_destroy(metadata);
  return count;
}

static int partitions(char **fields) {
  int count = partition_count(fields[1]);
  if (count >= 0) printf("partitions\t%d\n", count);
  return count < 0 ? -1 : 0;
}

struct acknowledged {
  rd_kafka_resp_err_t error;
  int32_t partition;
  int64_t offset;
};

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
  (void)producer;
  (void)opaque;
  struct acknowledged *acknowledged = message->_private;
  acknowledged->error = message->err;
  acknowledged->partition = message->partition;
  acknowledged->offset = message->offset;
}

static int send_record(rd_kafka_t *producer, const char *topic, char *line,
    struct acknowledged *acknowledged) {
  char *fields[FIELDS], *headers[FIELDS];
  split(line, '\t', fields, FIELDS);
  struct bytes key = from_hex(fields[2]), value = from_hex(fields[3]);
  int count = *fields[4] ? split(fields[4], ',', headers, FIELDS) : 0;
  rd_kafka_headers_t *list = rd_kafka_headers_new(FIELDS);
  for (int i = 0; i < count; i++) {
    char *pair[2];
    split(headers[i], '=', pair, 2);
    struct bytes content = from_hex(pair[1]);
    rd_kafka_header_add(list, pair[0], -1, content.at, content.size);
    free(content.at);
  }
  rd_kafka_resp_err_t error;
  do {
    error = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_PARTITION(*fields[0] == '-' ? RD_KAFKA_PARTITION_UA : atoi(fields[0])),
        RD_KAFKA_V_TIMESTAMP(*fields[1] == '-' ? 0 : atoll(fields[1])),
        RD_KAFKA_V_KEY(key.at, key.size), RD_KAFKA_V_VALUE(value.at, value.size),
        RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_OPAQUE(acknowledged), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) rd_kafka_poll(producer, 1000);
  } while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL);
  if (error) rd_kafka_headers_destroy(list);
  free(key.at);
  free(value.at);
  return error ? fail("produce: %s", rd_kafka_err2name(error)) : 0;
}

static int produce(char **fields) {
  FILE *in = fopen(fields[2], "r");
  if (in == NULL) return fail("%s: %s", fields[2], strerror(errno));
  rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, delivered, NULL, "compression.codec", fields[3],
      "enable.idempotence", strcmp(fields[4], "idempotent") == 0 ? "true" : "false", NULL);
  if (producer == NULL) return -1;
  static struct acknowledged acknowledged[100000];
  int count = 0, outcome = 0;
  char *line = NULL;
  size_t room = 0;
  for (ssize_t length; outcome == 0 && (length = getline(&line, &room, in)) > 0; count++) {
    line[length - 1] = 0;
    acknowledged[count].error = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    outcome = send_record(producer, fields[1], line, &acknowledged[count]);
    rd_kafka_poll(producer, 0);
  }
  free(line);
  fclose(in);
  rd_kafka_flush(producer, PATIENCE_MS);
  for (int i = 0; outcome == 0 && i < count; i++)
    if (acknowledged[i].error)
      outcome = fail("record %d: %s", i, rd_kafka_err2name(acknowledged[i].error));
    else
      printf("ack\t%d\t%lld\n", acknowledged[i].partition, (long long)acknowledged[i].offset);
  rd_kafka_destroy(producer);
  return outcome;
}

/* The next record, NULL at an error or after a minute without one. */
static rd_kafka_message_t *next(rd_kafka_t *consumer) {
  int64_t end = now_ms() + PATIENCE_MS;
  while (now_ms() < end) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 200);
    if (message == NULL) continue;
    if (!message->err) return message;
    fail("consume: %s", rd_kafka_message_errstr(message));
    rd_kafka_message_destroy(message);
    return NULL;
  }
  fail("consume: nothing for a minute");
  return NULL;
}

static void print_consumed(FILE *out, const rd_kafka_message_t *message) {
  fprintf(out, "%d\t%lld\t%lld\t", message->partition, (long long)message->offset,
      (long long)rd_kafka_message_timestamp(message, NULL));
  print_hex(out, message->key, message->key_len);
  fputc('\t', out);
  print_hex(out, message->payload, message->len);
  fputc('\t', out);
  rd_kafka_headers_t *headers;
  const char *name;
  const void *value;
  size_t size;
  if (!rd_kafka_message_headers(message, &headers))
    for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); i++) {
      fprintf(out, "%s%s=", i ? "," : "", name);
      print_hex(out, value, size);
    }
  fputc('\n', out);
}

static rd_kafka_t *consumer_of(const char *group, const char *commit,
    void (*rebalanced)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *,
        void *)) {
  return client(RD_KAFKA_CONSUMER, NULL, rebalanced, "group.id", group, "auto.offset.reset",
      "earliest", "enable.auto.commit", commit, NULL);
}

static int consume(char **fields) {
  int count = partition_count(fields[1]);
  rd_kafka_t *consumer = consumer_of("unused", "false", NULL);
  FILE *out = fopen(fields[3], "w");
  if (count < 0 || consumer == NULL || out == NULL) return -1;
  rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(count);
  for (int i = 0; i < count; i++)
    rd_kafka_topic_partition_list_add(all, fields[1], i)->offset = RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(consumer, all);
  rd_kafka_topic_partition_list_destroy(all);
  int outcome = 0;
  for (int left = atoi(fields[2]); left > 0 && outcome == 0; left--) {
    rd_kafka_message_t *message = next(consumer);
    if (message == NULL) {
      outcome = -1;
      break;
    }
    print_consumed(out, message);
    rd_kafka_message_destroy(message);
  }
  fclose(out);
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return outcome;
}

static int offsets(char **fields) {
  int count = partition_count(fields[1]);
  int64_t timestamp = atoll(fields[2]);
  for (int i = 0; i < count; i++) {
    int64_t low, high, offset;
    rd_kafka_resp_err_t error;
    if (timestamp < 0) {
      error = rd_kafka_query_watermark_offsets(admin, fields[1], i, &low, &high, PATIENCE_MS);
      offset = timestamp == -1 ? high : low;
    } else {
      rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
      rd_kafka_topic_partition_list_add(list, fields[1], i)->offset = timestamp;
      error = rd_kafka_offsets_for_times(admin, list, PATIENCE_MS);
      offset = list->elems[0].offset;
      rd_kafka_topic_partition_list_destroy(list);
    }
    if (error) return fail("offsets: %s", rd_kafka_err2name(error));
    printf("offset\t%d\t%lld\n", i, (long long)offset);
  }
  return count < 0 ? -1 : 0;
}

static void print_record(const rd_kafka_message_t *message) {
  printf("record\t%d\t%lld\t", message->partition, (long long)message->offset);
  print_hex(stdout, message->payload, message->len);
  printf("\n");
  fflush(stdout);
}

static void subscribe(rd_kafka_t *consumer, const char *topic) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
  rd_kafka_subscribe(consumer, list);
  rd_kafka_topic_partition_list_destroy(list);
}

static int take(char **fields) {
  rd_kafka_t *consumer = consumer_of(fields[2], "false", NULL);
  if (consumer == NULL) return -1;
  subscribe(consumer, fields[1]);
  int outcome = 0;
  for (int left = atoi(fields[3]); left > 0 && outcome == 0; left--) {
    rd_kafka_message_t *message = next(consumer);
    if (message == NULL) {
      outcome = -1;
      break;
    }
    print_record(message);
    rd_kafka_resp_err_t error = rd_kafka_commit_message(consumer, message, 0);
    if (error) outcome = fail("commit: %s", rd_kafka_err2name(error));
    rd_kafka_message_destroy(message);
  }
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return outcome;
}

static void rebalanced(rd_kafka_t *consumer, rd_kafka_resp_err_t event,
    rd_kafka_topic_partition_list_t *list, void *opaque) {
  (void)opaque;
  int assigned = event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
  rd_kafka_assign(consumer, assigned ? list : NULL);
  printf("assigned\t");
  for (int i = 0; assigned && i < list->cnt; i++)
    printf("%s%d", i ? "," : "", list->elems[i].partition);
  printf("\n");
  fflush(stdout);
}

static int member(char **fields) {
  rd_kafka_t *consumer = consumer_of(fields[2], "true", rebalanced);
  if (consumer == NULL) return -1;
  subscribe(consumer, fields[1]);
  int outcome = 0;
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (outcome == 0 && poll(&input, 1, 0) == 0) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
    if (message == NULL) continue;
    if (message->err)
      outcome = fail("member: %s", rd_kafka_message_errstr(message));
    else
      print_record(message);
    rd_kafka_message_destroy(message);
  }
  char line[16];
  if (outcome == 0 && fgets(line, sizeof line, stdin) == NULL) outcome = fail("no leave");
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return outcome;
}

static const struct {
  const char *name;
  int (*run)(char **fields);
} commands[] = {
    {"create", create}, {"delete", delete},   {"topics", topics}, {"partitions", partitions},
    {"produce", produce}, {"consume", consume}, {"offsets", offsets}, {"take", take},
    {"member", member},
};

int main(int count, char **arguments) {
  if (count != 2) return 2;
  bootstrap = arguments[1];
  admin = client(RD_KAFKA_PRODUCER, NULL, NULL, NULL);
  if (admin == NULL) return 1;
  printf("ready\tlibrdkafka\t%s\n", rd_kafka_version_str());
  fflush(stdout);
  char *line = NULL, *fields[FIELDS];
  size_t room = 0;
  for (ssize_t length; (length = getline(&line, &room, stdin)) > 0;) {
    line[length - 1] = 0;
    split(line, '\t', fields, FIELDS);
    int outcome = fail("unknown command");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
      if (strcmp(commands[i].name, fields[0]) == 0) outcome = commands[i].run(fields);
    if (outcome < 0) printf("fail\t%s\n", failure);
    else printf("done\n");
    fflush(stdout);
  }
  free(line);
  rd_kafka_destroy(admin);
  return 0;
}
