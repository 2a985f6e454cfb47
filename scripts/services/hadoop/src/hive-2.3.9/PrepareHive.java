import org.apache.hadoop.hive.conf.HiveConf;
import org.apache.hadoop.hive.metastore.ObjectStore;
import org.apache.hadoop.hive.metastore.txn.TxnDbUtil;

/** Makes the tables of Hive 2.3 in Derby. Its SQL scripts are on no package index; its own tests make them like this. */
public final class PrepareHive {
  public static void main(String[] args) throws Exception {
    HiveConf conf = new HiveConf();
    ObjectStore store = new ObjectStore();
    store.setConf(conf);
    store.getAllDatabases();
    TxnDbUtil.prepDb(conf);
    store.shutdown();
    System.exit(0);
  }
}
