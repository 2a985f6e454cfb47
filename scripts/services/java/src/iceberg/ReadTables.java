import java.io.BufferedWriter;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.StaticTableOperations;
import org.apache.iceberg.Table;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.hadoop.HadoopFileIO;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.Types;

/**
 * ReadTables METADATA_LOCATION OUTPUT [METADATA_LOCATION OUTPUT ...]: reads tables by Iceberg's generic reader.
 *
 * <p>Writes a JSON object of the columns a line. Dates are days, times and timestamps microseconds, floating-point numbers
 * and decimals strings, binary values hexadecimal, maps lists of pairs.
 */
public class ReadTables {
  public static void main(String[] args) throws Exception {
    for (int i = 0; i + 1 < args.length; i += 2) {
      Table table = new BaseTable(new StaticTableOperations(args[i], new HadoopFileIO(new Configuration())), args[i]);
      try (BufferedWriter out = Files.newBufferedWriter(Path.of(args[i + 1]));
          CloseableIterable<Record> rows = IcebergGenerics.read(table).build()) {
        for (Record row : rows) {
          out.write(struct(row, table.schema().asStruct()));
          out.newLine();
        }
      }
    }
  }

  private static String struct(Record row, Types.StructType type) {
    // By place and not by name: the reader may leave columns of its own behind the table's.
    return type.fields().stream()
        .map(f -> string(f.name()) + ":" + json(row.get(type.fields().indexOf(f)), f.type()))
        .collect(Collectors.joining(",", "{", "}"));
  }

  private static String json(Object value, Type type) {
    if (value == null) {
      return "null";
    }
    switch (type.typeId()) {
      case BOOLEAN:
      case INTEGER:
      case LONG:
        return value.toString();
      case DATE:
        return Long.toString(((LocalDate) value).toEpochDay());
      case TIME:
        return Long.toString(((LocalTime) value).toNanoOfDay() / 1000);
      case TIMESTAMP:
        OffsetDateTime instant =
            value instanceof LocalDateTime ? ((LocalDateTime) value).atOffset(ZoneOffset.UTC) : (OffsetDateTime) value;
        return Long.toString(ChronoUnit.MICROS.between(OffsetDateTime.of(1970, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC), instant));
      case DECIMAL:
        return string(((java.math.BigDecimal) value).toPlainString());
      case BINARY:
        ByteBuffer buffer = ((ByteBuffer) value).duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return string(HexFormat.of().formatHex(bytes));
      case FIXED:
        return string(HexFormat.of().formatHex((byte[]) value));
      case STRUCT:
        return struct((Record) value, type.asStructType());
      case LIST:
        Type element = type.asListType().elementType();
        return ((List<?>) value).stream().map(v -> json(v, element)).collect(Collectors.joining(",", "[", "]"));
      case MAP:
        Types.MapType map = type.asMapType();
        return ((Map<?, ?>) value).entrySet().stream()
            .map(e -> "[" + json(e.getKey(), map.keyType()) + "," + json(e.getValue(), map.valueType()) + "]")
            .collect(Collectors.joining(",", "[", "]"));
      default: // FLOAT, DOUBLE, STRING, UUID
        return string(value.toString());
    }
  }

  private static String string(String text) {
    StringBuilder out = new StringBuilder("\"");
    text.chars()
        .forEach(c -> out.append(c == '"' || c == '\\' || c < 32 || c > 126 ? String.format("\\u%04x", c) : Character.toString(c)));
    return out.append('"').toString();
  }
}
