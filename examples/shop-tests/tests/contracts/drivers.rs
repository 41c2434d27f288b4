//! The life of a driver of the user.

use kennel_app::{Component as _, Phase, Stop};
use shop_drivers::search::SearchDriver;

#[tokio::test]
async fn a_driver_is_connected_until_everything_else_has_stopped() {
    let (driver, stop) = (SearchDriver::default(), Stop::new());
    let mut component = Box::new(driver.component());
    assert_eq!((component.phase(), driver.is_connected()), (Phase::Driver, false));
    component.init().await.unwrap();
    assert!(driver.is_connected());
    let stopped = async {
        tokio::task::yield_now().await;
        assert!(driver.is_connected());
        stop.request();
    };
    let (result, ()) = tokio::join!(component.run(stop.clone()), stopped);
    result.unwrap();
    assert!(!driver.is_connected());
}
