import { BackboneModule } from '@app/service';
import { Module } from '@nestjs/common';
import { AwardPointsOnOrderConfirmed } from './award-points-on-order-confirmed/award-points-on-order-confirmed.handler.js';
import { ChangeProfileController } from './change-profile/change-profile.controller.js';
import { ChangeProfileHandler } from './change-profile/change-profile.handler.js';
import { DeactivateUserController } from './deactivate-user/deactivate-user.controller.js';
import { DeactivateUserHandler } from './deactivate-user/deactivate-user.handler.js';
import { GetUserController } from './get-user/get-user.controller.js';
import { GetUserHandler } from './get-user/get-user.handler.js';
import { ListNotificationsController } from './list-notifications/list-notifications.controller.js';
import { ListNotificationsHandler } from './list-notifications/list-notifications.handler.js';
import { ListUsersController } from './list-users/list-users.controller.js';
import { ListUsersHandler } from './list-users/list-users.handler.js';
import { NotifyUserOnOrderCancelled } from './notify-user-on-order-cancelled/notify-user-on-order-cancelled.handler.js';
import { NotifyUserOnOrderConfirmed } from './notify-user-on-order-confirmed/notify-user-on-order-confirmed.handler.js';
import { NotifyUserOnOrderPlaced } from './notify-user-on-order-placed/notify-user-on-order-placed.handler.js';
import { RegisterUserController } from './register-user/register-user.controller.js';
import { RegisterUserHandler } from './register-user/register-user.handler.js';
import { SubscriptionsController } from './subscriptions.controller.js';

@Module({
  imports: [BackboneModule],
  controllers: [
    SubscriptionsController,
    RegisterUserController,
    GetUserController,
    ListUsersController,
    ChangeProfileController,
    DeactivateUserController,
    ListNotificationsController,
  ],
  providers: [
    RegisterUserHandler,
    GetUserHandler,
    ListUsersHandler,
    ChangeProfileHandler,
    DeactivateUserHandler,
    ListNotificationsHandler,
    NotifyUserOnOrderPlaced,
    NotifyUserOnOrderConfirmed,
    NotifyUserOnOrderCancelled,
    AwardPointsOnOrderConfirmed,
  ],
})
export class UsersModule {}
